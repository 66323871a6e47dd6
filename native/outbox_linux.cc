#include "outbox.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace datagram {
namespace {

// What one send carries at most: 65,535 less the headers of IPv4 and UDP.
constexpr int kMostBytes = 65507;

// Errors of a segmented send that the same datagrams, sent plainly, may not meet. ENOBUFS is among them because so large a
// message may never fit where single datagrams do.
bool MayPassPlainly(int error) {
  return error == EMSGSIZE || error == EIO || error == EINVAL || error == ENOBUFS;
}

int PendingError(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : 0;
}

}  // namespace

int Faults::Plan(const int32_t* outcomes, int count) {
  int unmet = count_ - next_;
  for (int i = 0; i < count; i++) outcomes_[i] = outcomes[i];
  next_ = 0;
  count_ = count;
  return unmet;
}

int Outbox::Send(int fd, uint8_t* payloads, int count, bool connected, Segmentation& segmentation) {
  refused_ = 0;
  // What ICMP said of the connected peer is the error of the next call. Of many messages it would be taken for the
  // refusal of a segmented one, or be lost: sendmmsg gives a count and drops the error that ended it.
  if (count > 1 && connected) {
    int error = PendingError(fd);
    if (error != 0) return -error;
  }
  int refusal = 0;
  int plain = 0;
  int most_segments = most_segments_;
  for (;;) {
    Pack(payloads, count, plain, most_segments, segmentation);
    int sent = Transmit(fd);
    if (sent > 0) {
      if (refusal != 0 && refusal != ENOBUFS) {
        refused_ = segmentation.Refuse(refusal, NameOf(datagrams_[0].peer), datagrams_[0].length);
      } else if (carried_[0] > 1) {
        most_segments_ = most_segments;
      }
      int datagrams = 0;
      for (int i = 0; i < sent; i++) datagrams += carried_[i];
      return datagrams;
    }
    if (carried_[0] == 1 || !MayPassPlainly(errno)) return -errno;
    if (errno == EINVAL && carried_[0] > kSureSegments) {
      most_segments = kSureSegments;
      continue;
    }
    refusal = errno;
    plain = carried_[0];
  }
}

// Lays the datagrams out as messages. The first `plain` of them go by themselves.
void Outbox::Pack(uint8_t* payloads, int count, int plain, int most_segments, Segmentation& segmentation) {
  packed_ = 0;
  int pieces = 0;
  for (int first = 0, run; first < count; first += run) {
    run = first < plain ? 1 : RunFrom(first, count, most_segments, segmentation);
    const Datagram& front = datagrams_[first];
    msghdr& header = messages_[packed_].msg_hdr;
    header = {};
    header.msg_name = NameOf(front.peer);
    header.msg_namelen = header.msg_name ? NameLength(NameOf(front.peer)) : 0;
    header.msg_iov = &pieces_[pieces];
    int32_t end = -1;
    for (int i = first; i < first + run; i++) {
      size_t length = static_cast<size_t>(datagrams_[i].length);
      if (datagrams_[i].start == end) {
        pieces_[pieces - 1].iov_len += length;
      } else {
        pieces_[pieces++] = {payloads + datagrams_[i].start, length};
        header.msg_iovlen++;
      }
      end = datagrams_[i].start + datagrams_[i].length;
    }
    if (run > 1) {
      header.msg_control = controls_[packed_];
      header.msg_controllen = kControlBytes;
      cmsghdr* control = CMSG_FIRSTHDR(&header);
      control->cmsg_level = SOL_UDP;
      control->cmsg_type = UDP_SEGMENT;
      control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
      uint16_t segment = static_cast<uint16_t>(front.length);
      memcpy(CMSG_DATA(control), &segment, sizeof segment);
    }
    carried_[packed_++] = run;
  }
}

// How many datagrams from `first` on can be one segmented send: all of the first one's length but the last, which may be
// shorter. An empty one goes by itself: within a run it would vanish.
int Outbox::RunFrom(int first, int count, int most_segments, Segmentation& segmentation) {
  const Datagram& front = datagrams_[first];
  int segment = front.length;
  if (segment == 0 || segment > segmentation.Limit(NameOf(front.peer))) return 1;
  int run = 1;
  int bytes = segment;
  while (first + run < count && run < most_segments) {
    const Datagram& next = datagrams_[first + run];
    if (next.peer != front.peer || next.length == 0 || next.length > segment || bytes + next.length > kMostBytes) break;
    run++;
    bytes += next.length;
    if (next.length < segment) break;
  }
  return run;
}

// Gives how many messages went, or -1 with errno.
int Outbox::Transmit(int fd) {
  int sent;
  do {
    int outcome = faults_.Next();
    if (outcome < 0) {
      errno = -outcome;
      sent = -1;
    } else if (packed_ == 1) {
      sent = sendmsg(fd, &messages_[0].msg_hdr, MSG_NOSIGNAL) < 0 ? -1 : 1;
    } else {
      int most = outcome > 0 && outcome < packed_ ? outcome : packed_;
      sent = sendmmsg(fd, messages_, static_cast<unsigned>(most), MSG_NOSIGNAL);
    }
  } while (sent < 0 && errno == EINTR);
  return sent;
}

}  // namespace datagram
