#include "send_batch.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
// Looks up the route to a destination and sends nothing (include/linux/socket.h).
#ifndef MSG_PROBE
#define MSG_PROBE 0x10
#endif

namespace datagram {
namespace {

// The maximum number of bytes of a run: with the headers of Ethernet, IPv6 and UDP, 65,535. The kernel itself splits a longer run
// on its way to the device, loopback too (gso_features_check, net/core/dev.c). That costs more than a second send.
constexpr int kMaxBytes = 65535 - 14 - 40 - 8;

// Errors of a segmented send that may not occur if the same datagrams are sent one by one. ENOBUFS is one of them: a large
// message may never fit into a buffer that has room for single datagrams.
bool MayPassPlainly(int error) {
  return error == EMSGSIZE || error == EIO || error == EINVAL || error == ENOBUFS;
}

// The maximum number of tries of one Send after errors that were about other datagrams. After that, the event loop runs.
constexpr int kMaxRounds = 16;

// If an error that ICMP can cause comes this often in a row, it is the error of the send itself.
constexpr int kOwnAfter = 3;

// Adds control messages to a header. They are written to `memory`.
class ControlWriter {
 public:
  ControlWriter(msghdr* header, uint8_t* memory) : header_(header) { header_->msg_control = memory; }

  template <typename T>
  void Add(int level, int type, const T& value) {
    cmsghdr* control = reinterpret_cast<cmsghdr*>(static_cast<uint8_t*>(header_->msg_control) + header_->msg_controllen);
    // musl has padding behind the length, which the kernel reads as a part of it.
    *control = {};
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(sizeof value);
    memcpy(CMSG_DATA(control), &value, sizeof value);
    header_->msg_controllen += CMSG_SPACE(sizeof value);
  }

 private:
  msghdr* header_;
};

void AddIPv4(const Control& control, ControlWriter* writer) {
  if (control.fields & kControlSource) {
    in_pktinfo info = {};
    info.ipi_ifindex = control.interface;
    memcpy(&info.ipi_spec_dst, control.source, sizeof info.ipi_spec_dst);
    writer->Add(SOL_IP, IP_PKTINFO, info);
  }
  if (control.fields & kControlTtl) writer->Add(SOL_IP, IP_TTL, control.ttl);
  if (control.fields & kControlTos) writer->Add(SOL_IP, IP_TOS, control.tos);
}

// The kernel sends to a mapped peer over IPv4. Of the IPv6 control messages it then takes only the source address
// (ip_cmsg_send, net/ipv4/ip_sockglue.c).
void AddIPv6(const Control& control, bool mapped, ControlWriter* writer) {
  if (control.fields & kControlSource) {
    in6_pktinfo info = {};
    info.ipi6_ifindex = static_cast<unsigned>(control.interface);
    memcpy(&info.ipi6_addr, control.source, sizeof info.ipi6_addr);
    if (mapped) info.ipi6_addr.s6_addr[10] = info.ipi6_addr.s6_addr[11] = 0xff;
    writer->Add(SOL_IPV6, IPV6_PKTINFO, info);
  }
  if (control.fields & kControlTtl) writer->Add(mapped ? SOL_IP : SOL_IPV6, mapped ? IP_TTL : IPV6_HOPLIMIT, control.ttl);
  if (control.fields & kControlTos) writer->Add(mapped ? SOL_IP : SOL_IPV6, mapped ? IP_TOS : IPV6_TCLASS, control.tos);
}

}  // namespace

int SendBatch::Send(int fd, const Datagrams& datagrams, const uint8_t* peer, Segmentation& segmentation,
                 Rejections& rejections, ErrorQueue& error_queue) {
  datagrams_ = datagrams;
  refused_ = rejected_ = 0;
  unexplained_ = repeats_ = 0;
  error_queue.ForgetRefusedMtu();
  int refusal = 0;
  int plain = 0;
  int max_segments = max_segments_;
  int rounds = 0;
  for (;;) {
    Pack(plain, max_segments, peer, segmentation);
    int sent = Transmit(fd, rejections);
    if (sent > 0) {
      if (unexplained_ != 0 && unexplained_ != EMSGSIZE) error_queue.AddUnknown(unexplained_);
      if (refusal != 0 && refusal != ENOBUFS) {
        refused_ = segmentation.Refuse(refusal, NameOf(0), datagrams_.lengths[0]);
      } else if (carried_[0] > 1) {
        max_segments_ = max_segments;
      }
      int datagrams = 0;
      for (int i = 0; i < sent; i++) datagrams += carried_[i];
      if (sent < asked_ && IsRejected(fd, sent, peer, rejections, error_queue)) rejected_ = carried_[sent];
      return datagrams;
    }
    int error = errno;
    if (error == EPERM) {
      rejections.Rejected();
      rejected_ = carried_[0];
      return -error;
    }
    int peer_error = 0;
    if (error == ENOBUFS) segmentation.Full();
    if (MayBeIcmp(error) && MustRetry(fd, error, peer, error_queue, &peer_error)) {
      if (++rounds == kMaxRounds) return -EAGAIN;
      continue;
    }
    if (peer_error != 0) return -peer_error;
    if (carried_[0] == 1 || !MayPassPlainly(error)) {
      // The datagrams after the first are then not tried as a run first.
      if (refusal == EMSGSIZE && error == EMSGSIZE) {
        segmentation.Refuse(refusal, NameOf(0), datagrams_.lengths[0]);
      }
      return -error;
    }
    if (error == EINVAL && carried_[0] > kSureSegments) {
      max_segments = kSureSegments;
      continue;
    }
    refusal = error;
    plain = carried_[0];
    unexplained_ = repeats_ = 0;
  }
}

// Whether a failed send must be tried again because the error was about another datagram: an ICMP error fails the next call,
// whatever its destination is. If the error queue had no room for the ICMP error, the error counts as the send's own only
// after it came kOwnAfter times in a row. Sets `*peer_error` to the ICMP error about the connected peer, if this send is to it.
bool SendBatch::MustRetry(int fd, int error, const uint8_t* peer, ErrorQueue& error_queue, int* peer_error) {
  ErrorQueue::Found found = error_queue.Drain(fd, peer);
  if (found.peer_error != 0 && IsForPeer(peer)) {
    *peer_error = found.peer_error;
    return false;
  }
  if (found.peer_error != 0) error_queue.KeepForPeer(found.peer_error);
  if (found.icmp > 0 || !found.all) {
    unexplained_ = 0;
    return true;
  }
  // A send fails with this error only because of ICMP.
  if (error == ECONNREFUSED) {
    if (peer) error_queue.AddUnknown(error);
    if (peer && IsForPeer(peer)) return false;
    if (peer) error_queue.KeepForPeer(error);
    unexplained_ = peer ? 0 : error;
    return true;
  }
  repeats_ = unexplained_ == error ? repeats_ + 1 : 1;
  unexplained_ = error;
  return repeats_ < kOwnAfter;
}

// Whether a local rule rejected message `at`. A call sent the messages before it and stopped there.
bool SendBatch::IsRejected(int fd, int at, const uint8_t* peer, Rejections& rejections, ErrorQueue& error_queue) {
  if (stopped_ != 0) return stopped_ == EPERM;
  ErrorQueue::Found found = error_queue.Drain(fd, peer);
  if (found.peer_error != 0) error_queue.KeepForPeer(found.peer_error);
  if (found.icmp > 0 || !found.all) return false;
  int first = 0;
  for (int i = 0; i < at; i++) first += carried_[i];
  int before = first - carried_[at - 1];
  // If neither ICMP nor a full buffer was the cause, it was a rule.
  bool explained = !full_buffers_.HasIncreased() && HasRoom(fd);
  if (explained) {
    rejections.Rejected();
  } else {
    rejections.MaybeRejected();
  }
  if (!explained || error_queue.refused_mtu() != 0) return false;
  // There may be another cause: a run that differs from the run before it may be refused, and a datagram may have no route.
  if (carried_[at] > 1) {
    return datagrams_.slots[first] == datagrams_.slots[before] && datagrams_.lengths[first] <= datagrams_.lengths[before] &&
            carried_[at] <= carried_[at - 1];
  }
  return sendmsg(fd, &messages_[at].msg_hdr, MSG_PROBE | MSG_NOSIGNAL) >= 0;
}

// Whether the first datagram goes to the connected peer.
bool SendBatch::IsForPeer(const uint8_t* peer) const {
  const uint8_t* name = NameOf(0);
  return peer && (!name || IsPeer(name, peer));
}

// The name of the destination of datagram `index`; null for the connected peer.
const uint8_t* SendBatch::NameOf(int index) const {
  int32_t slot = datagrams_.slots[index];
  if (slot < 0) return nullptr;
  const uint8_t* name = names_ + kNameBytes * static_cast<size_t>(slot);
  sa_family_t family;
  memcpy(&family, name, sizeof family);
  return family == 0 ? nullptr : name;
}

// The control messages of datagram `index`; null if it has none.
const Control* SendBatch::ControlOf(int index) const {
  int32_t slot = datagrams_.slots[index];
  return slot < 0 || slot >= kMaxMessages || controls_[slot].fields == 0 ? nullptr : &controls_[slot];
}

// Arranges the datagrams as messages. Each of the first `plain` datagrams is a message of its own.
void SendBatch::Pack(int plain, int max_segments, const uint8_t* peer,
                  Segmentation& segmentation) {
  packed_ = 0;
  int pieces = 0;
  for (int first = 0, run; first < datagrams_.count; first += run) {
    run = first < plain ? 1 : RunFrom(first, max_segments, segmentation);
    msghdr& header = messages_[packed_].msg_hdr;
    header = {};
    const uint8_t* name = NameOf(first);
    header.msg_name = const_cast<uint8_t*>(name);
    header.msg_namelen = name ? NameLength(name) : 0;
    header.msg_iov = &pieces_[pieces];
    int32_t end = -1;
    for (int i = first; i < first + run; i++) {
      size_t length = static_cast<size_t>(datagrams_.lengths[i]);
      if (datagrams_.starts[i] == end) {
        pieces_[pieces - 1].iov_len += length;
      } else {
        pieces_[pieces++] = {datagrams_.payloads + datagrams_.starts[i], length};
        header.msg_iovlen++;
      }
      end = datagrams_.starts[i] + datagrams_.lengths[i];
    }
    const Control* control = ControlOf(first);
    if (run > 1 || control) {
      ControlWriter writer(&header, control_buffers_[packed_]);
      if (run > 1) writer.Add(SOL_UDP, UDP_SEGMENT, static_cast<uint16_t>(datagrams_.lengths[first]));
      const uint8_t* to = name ? name : peer;
      if (control && to) {
        sa_family_t family;
        memcpy(&family, to, sizeof family);
        if (family == AF_INET) AddIPv4(*control, &writer);
        if (family == AF_INET6) AddIPv6(*control, IsMapped(to), &writer);
      }
    }
    carried_[packed_++] = run;
  }
}

// Returns the number of datagrams, from `first` on, that can be one segmented send. All have the length of the first one,
// except the last, which may be shorter. An empty datagram is a message of its own: in a run it would be lost.
int SendBatch::RunFrom(int first, int max_segments, Segmentation& segmentation) {
  int segment = datagrams_.lengths[first];
  if (segment == 0 || segment > segmentation.Limit(NameOf(first))) return 1;
  int run = 1;
  int bytes = segment;
  while (first + run < datagrams_.count && run < max_segments) {
    int length = datagrams_.lengths[first + run];
    if (datagrams_.slots[first + run] != datagrams_.slots[first] || length == 0 || length > segment) break;
    if (bytes + length > kMaxBytes) break;
    run++;
    bytes += length;
    if (length < segment) break;
  }
  return run;
}

// Returns the number of messages that were sent, or -1 with errno.
int SendBatch::Transmit(int fd, Rejections& rejections) {
  asked_ = packed_;
  stopped_ = 0;
  if (packed_ > 1 && rejections.one_by_one()) return TransmitOneByOne(fd, rejections);
  if (packed_ > 1) full_buffers_.Prepare();
  int sent;
  do {
    int outcome = faults_.Next();
    if (outcome < 0) {
      errno = -outcome;
      sent = -1;
    } else if (packed_ == 1) {
      sent = sendmsg(fd, &messages_[0].msg_hdr, MSG_NOSIGNAL) < 0 ? -1 : 1;
    } else {
      if (outcome > 0 && outcome < packed_) asked_ = outcome;
      // The system call is made directly, because sendmmsg() of musl calls sendmsg for each message.
      sent = static_cast<int>(syscall(SYS_sendmmsg, fd, messages_, static_cast<unsigned>(asked_), MSG_NOSIGNAL));
    }
  } while (sent < 0 && errno == EINTR);
  return sent;
}

// Like Transmit, with one call for each message, so that the error of each message is known.
int SendBatch::TransmitOneByOne(int fd, Rejections& rejections) {
  for (int i = 0; i < packed_; i++) {
    int outcome = faults_.Next();
    if (outcome < 0) errno = -outcome;
    ssize_t result = outcome < 0 ? -1 : sendmsg(fd, &messages_[i].msg_hdr, MSG_NOSIGNAL);
    if (result < 0 && errno == EINTR) {
      i--;
      continue;
    }
    if (result < 0 && errno == EPERM) rejections.Rejected();
    if (result < 0 && i == 0) return -1;
    if (result < 0) {
      stopped_ = errno;
      return i;
    }
    rejections.Sent();
  }
  return packed_;
}

}  // namespace datagram
