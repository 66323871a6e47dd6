#include "inbox.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace datagram {
namespace {

// The bytes of each datagram but the last; 0 where the kernel merged nothing.
int SegmentOf(msghdr* header) {
  for (cmsghdr* each = CMSG_FIRSTHDR(header); each != nullptr; each = CMSG_NXTHDR(header, each)) {
    if (each->cmsg_level != SOL_UDP || each->cmsg_type != UDP_GRO) continue;
    int segment;
    memcpy(&segment, CMSG_DATA(each), sizeof segment);
    return segment;
  }
  return 0;
}

}  // namespace

Inbox::Inbox(uint8_t* slab, int32_t* lengths, int32_t* segments, uint8_t* names)
    : lengths_(lengths), segments_(segments) {
  memset(messages_, 0, sizeof messages_);
  for (size_t i = 0; i < kReceiveBatch; i++) {
    slots_[i] = {slab + kSlotBytes * i, kSlotBytes};
    msghdr& header = messages_[i].msg_hdr;
    header.msg_name = names + kNameBytes * i;
    header.msg_namelen = kNameBytes;
    header.msg_iov = &slots_[i];
    header.msg_iovlen = 1;
    header.msg_control = controls_[i];
    header.msg_controllen = kControlBytes;
  }
}

int Inbox::Receive(int fd) {
  int count;
  do {
    count = recvmmsg(fd, messages_, static_cast<unsigned>(batch_), MSG_DONTWAIT, nullptr);
  } while (count < 0 && errno == EINTR);
  more_ = count == batch_;
  if (count < 0) return errno == EAGAIN ? 0 : -errno;
  bool large = false;
  for (int i = 0; i < count; i++) {
    msghdr& header = messages_[i].msg_hdr;
    int length = static_cast<int>(messages_[i].msg_len);
    int segment = SegmentOf(&header);
    lengths_[i] = length;
    segments_[i] = segment < length ? segment : 0;
    if (length > kLargeBytes) large = true;
    header.msg_namelen = kNameBytes;
    header.msg_controllen = kControlBytes;
  }
  batch_ = large ? kLargeBatch : kReceiveBatch;
  return count;
}

}  // namespace datagram
