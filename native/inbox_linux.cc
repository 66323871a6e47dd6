#include "inbox.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <time.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_RXQ_OVFL
#define SO_RXQ_OVFL 40
#endif

namespace datagram {
namespace {

// Rounds of reading errors in one receive, after which the loop has its turn.
constexpr int kMostRounds = 16;

int IntegerOf(const cmsghdr* control) {
  int value;
  memcpy(&value, CMSG_DATA(control), sizeof value);
  return value;
}

void ReadIPv4(const cmsghdr* control, About* about) {
  switch (control->cmsg_type) {
    case IP_PKTINFO: {
      in_pktinfo info;
      memcpy(&info, CMSG_DATA(control), sizeof info);
      about->interface = info.ipi_ifindex;
      about->family = AF_INET;
      memcpy(about->destination, &info.ipi_addr, sizeof info.ipi_addr);
      memcpy(about->source, &info.ipi_spec_dst, sizeof info.ipi_spec_dst);
      return;
    }
    case IP_TTL:
      about->ttl = IntegerOf(control);
      return;
    case IP_TOS:
      about->tos = *CMSG_DATA(control);
      return;
  }
}

void ReadIPv6(const cmsghdr* control, About* about) {
  switch (control->cmsg_type) {
    case IPV6_PKTINFO: {
      in6_pktinfo info;
      memcpy(&info, CMSG_DATA(control), sizeof info);
      // What came over IPv4 says so itself, and what it says is more.
      if (IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr)) return;
      about->interface = static_cast<int32_t>(info.ipi6_ifindex);
      about->family = AF_INET6;
      memcpy(about->destination, &info.ipi6_addr, sizeof info.ipi6_addr);
      return;
    }
    case IPV6_HOPLIMIT:
      about->ttl = IntegerOf(control);
      return;
    case IPV6_TCLASS:
      about->tos = IntegerOf(control);
      return;
  }
}

void ReadSocket(const cmsghdr* control, About* about) {
  if (control->cmsg_type == SO_RXQ_OVFL) memcpy(&about->drops, CMSG_DATA(control), sizeof about->drops);
  if (control->cmsg_type == SCM_TIMESTAMPNS) {
    timespec time;
    memcpy(&time, CMSG_DATA(control), sizeof time);
    about->seconds = static_cast<uint32_t>(time.tv_sec);
    about->nanoseconds = static_cast<int32_t>(time.tv_nsec);
  }
}

// Reads what the kernel says of a message. Gives the bytes of each datagram but the last; 0 where it merged nothing.
int ReadControls(msghdr* header, About* about) {
  *about = {};
  about->ttl = about->tos = -1;
  int segment = 0;
  for (cmsghdr* each = CMSG_FIRSTHDR(header); each != nullptr; each = CMSG_NXTHDR(header, each)) {
    if (each->cmsg_level == SOL_UDP && each->cmsg_type == UDP_GRO) segment = IntegerOf(each);
    if (each->cmsg_level == SOL_IP) ReadIPv4(each, about);
    if (each->cmsg_level == SOL_IPV6) ReadIPv6(each, about);
    if (each->cmsg_level == SOL_SOCKET) ReadSocket(each, about);
  }
  return segment;
}

}  // namespace

Inbox::Inbox(uint8_t* slab, int32_t* lengths, int32_t* segments, uint8_t* names, About* abouts)
    : lengths_(lengths), segments_(segments), abouts_(abouts) {
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

int Inbox::Receive(int fd, const uint8_t* peer, Reports& reports) {
  more_ = false;
  for (int round = 0; round < kMostRounds; round++) {
    int count = ReadMessages(fd);
    if (count >= 0) return count;
    int error = errno;
    if (error == EAGAIN) return 0;
    if (!MayBeIcmp(error)) return -error;
    Reports::Found found = reports.Drain(fd, peer);
    if (found.peer_error != 0) return -found.peer_error;
    if (!found.all) break;
    if (found.icmp > 0) continue;
    reports.AddUnknown(error);
    if (peer) return -error;
  }
  more_ = true;
  return 0;
}

// Gives how many messages there were, or -1 with errno.
int Inbox::ReadMessages(int fd) {
  int count;
  do {
    count = recvmmsg(fd, messages_, static_cast<unsigned>(batch_), MSG_DONTWAIT, nullptr);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return -1;
  more_ = count == batch_;
  bool large = false;
  for (int i = 0; i < count; i++) {
    msghdr& header = messages_[i].msg_hdr;
    int length = static_cast<int>(messages_[i].msg_len);
    int segment = ReadControls(&header, &abouts_[i]);
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
