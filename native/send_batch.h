// Sends many datagrams in one system call. A run of datagrams of equal size to one destination is one segmented send
// (UDP_SEGMENT).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

#include "error_queue.h"
#include "faults.h"
#include "heap.h"
#include "rejections.h"
#include "segmentation.h"
#include "socket.h"

namespace datagram {

// The maximum number of messages of one sendmmsg (UIO_MAXIOV, net/socket.c).
constexpr int kMaxMessages = 1024;

// The largest number of datagrams in one segmented send: UDP_MAX_SEGMENTS (include/linux/udp.h), and its value before
// Linux 6.9.
constexpr int kMaxSegments = 128;
constexpr int kSureSegments = 64;

// Slots for names. The slots from kMaxMessages on keep their names for later sends, and have no control messages.
constexpr int kMaxNames = 8192;

// The datagrams of one send. Each array has one entry for each datagram.
struct Datagrams {
  uint8_t* payloads;
  const int32_t* starts;   // where each payload begins
  const int32_t* lengths;  // bytes of each payload
  const int32_t* slots;    // the slot of the name; -1 is the connected peer
  int count;               // 1 to kMaxMessages
};

// The control messages of datagrams to the name of one slot. If a field is not set, the socket's option decides.
struct Control {
  int32_t fields;     // the fields that are set: kControlSource, kControlTtl, kControlTos
  int32_t interface;  // the index; 0: the routes decide
  int32_t ttl;
  int32_t tos;
  uint8_t source[16];  // 4 bytes for a peer of AF_INET; zero: the kernel decides
};
// JavaScript writes it as an Int32Array: layout.cc.
static_assert(sizeof(Control) == 8 * sizeof(int32_t));
constexpr int kControlSource = 1;
constexpr int kControlTtl = 2;
constexpr int kControlTos = 4;

// The sends of one thread.
class SendBatch : public OnHeap {
 public:
  // `names` has kMaxNames slots of kNameBytes; a name of family 0 is the connected peer. `controls` has kMaxMessages entries, for
  // the first slots. The memory must outlive this object.
  SendBatch(uint8_t* names, const Control* controls) : names_(names), controls_(controls) {}
  // Returns the number of datagrams, from the first on, that were sent: at least 1. Otherwise returns the error of the first
  // datagram, or the ICMP error about the connected peer, `peer`. ICMP errors about other peers are only in `error_queue`. If the
  // kernel refuses a segmented send, the datagrams of the run are sent one by one within the same call.
  int Send(int fd, const Datagrams& datagrams, const uint8_t* peer, Segmentation& segmentation, Rejections& rejections,
           ErrorQueue& error_queue);
  // The error with which the kernel refused a segmented send of the last Send; 0 if it refused none.
  int refused() const { return refused_; }
  // The number of datagrams that a local rule rejected. They follow the datagrams that the last Send sent. If it failed with
  // EPERM, they start at the first datagram. A run is one packet for a rule.
  int rejected() const { return rejected_; }
  Faults& faults() { return faults_; }

 private:
  // Bytes of the control messages for a segment size and all fields of a Control.
  static constexpr size_t kControlBytes = CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int));

  bool MustRetry(int fd, int error, const uint8_t* peer, ErrorQueue& error_queue, int* peer_error);
  bool IsForPeer(const uint8_t* peer) const;
  void Pack(int plain, int max_segments, const uint8_t* peer, Segmentation& segmentation);
  int RunFrom(int first, int max_segments, Segmentation& segmentation);
  int Transmit(int fd, Rejections& rejections);
  int TransmitOneByOne(int fd, Rejections& rejections);
  bool IsRejected(int fd, int at, const uint8_t* peer, Rejections& rejections, ErrorQueue& error_queue);
  const uint8_t* NameOf(int index) const;
  const Control* ControlOf(int index) const;

  Datagrams datagrams_ = {};
  uint8_t* names_;
  const Control* controls_;
  int unexplained_ = 0;  // the last error whose datagram is not known, and how often it came in a row
  int repeats_ = 0;
  Faults faults_;
  int refused_ = 0;
  int rejected_ = 0;
  FullBuffers full_buffers_;
  int asked_ = 0;    // messages that were passed to the last call
  int stopped_ = 0;  // the error of the message at which the last call stopped, if it is known
  int max_segments_ = kMaxSegments;
  int packed_ = 0;              // number of messages
  int carried_[kMaxMessages];  // number of datagrams of each message
  mmsghdr messages_[kMaxMessages];
  iovec pieces_[kMaxMessages];
  alignas(cmsghdr) uint8_t control_buffers_[kMaxMessages][kControlBytes];
};

}  // namespace datagram
