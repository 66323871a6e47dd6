// Sending: many datagrams in one system call, runs of equal ones to one destination as one segmented send (UDP_SEGMENT).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

#include "error_queue.h"
#include "rejections.h"
#include "segmentation.h"
#include "socket.h"

namespace datagram {

// Messages of one sendmmsg (UIO_MAXIOV, net/socket.c).
constexpr int kMaxMessages = 1024;

// The largest number of datagrams in one segmented send: UDP_MAX_SEGMENTS (include/linux/udp.h), and its value before
// Linux 6.9.
constexpr int kMaxSegments = 128;
constexpr int kSureSegments = 64;

// Slots for names. Those from kMaxMessages on keep their names from send to send, and have no control messages.
constexpr int kMaxNames = 8192;

// The datagrams of one send, in arrays of one entry for each.
struct Datagrams {
  uint8_t* payloads;
  const int32_t* starts;   // where each payload begins
  const int32_t* lengths;  // bytes of each payload
  const int32_t* slots;    // of its name; -1 is the connected peer
  int count;               // 1 to kMaxMessages
};

// The control messages of datagrams to the name of one slot. A field that is not set is as the socket has it.
struct Control {
  int32_t fields;     // of the following: kControlSource, kControlTtl, kControlTos
  int32_t interface;  // its index; 0 leaves it to the routes
  int32_t ttl;
  int32_t tos;
  uint8_t source[16];  // 4 bytes to a peer of AF_INET; zero leaves it to the kernel
};
// JavaScript writes it as an Int32Array: layout.cc.
static_assert(sizeof(Control) == 8 * sizeof(int32_t));
constexpr int kControlSource = 1;
constexpr int kControlTtl = 2;
constexpr int kControlTos = 4;

// Planned outcomes for the next system calls, in place of the kernel's. Tests use them for errors that no kernel causes on demand.
class Faults {
 public:
  static constexpr int kMaxOutcomes = 64;

  // Each of `count` outcomes is for one call: 0 leaves it alone, a negative errno fails it, and of a call with more
  // messages than a positive one only so many go. Gives how many of those before were never met.
  int Plan(const int32_t* outcomes, int count);
  int Next() { return next_ < count_ ? outcomes_[next_++] : 0; }

 private:
  int32_t outcomes_[kMaxOutcomes];
  int next_ = 0;
  int count_ = 0;
};

// The sends of one thread.
class SendBatch {
 public:
  // `names` has kMaxNames slots of kNameBytes; a name of family 0 is the connected peer. `controls` has kMaxMessages entries, for
  // the first slots. The memory must outlive this object.
  SendBatch(uint8_t* names, const Control* controls) : names_(names), controls_(controls) {}
  // Gives how many from the front were sent, at least 1; the
  // error is that of the first, or what ICMP said of the connected peer, `peer`. What it said of others is in the error queue
  // alone. A run whose segmentation is refused goes plainly, within the same call.
  int Send(int fd, const Datagrams& datagrams, const uint8_t* peer, Segmentation& segmentation, Rejections& rejections,
           ErrorQueue& error_queue);
  // The error that the last Send was refused a segmented send with; 0 when none was.
  int refused() const { return refused_; }
  // How many datagrams a local rule has rejected: behind those that the last Send sent, or where it failed with EPERM, from
  // the first on. A rule sees a run as the one packet that it is.
  int rejected() const { return rejected_; }
  Faults& faults() { return faults_; }

 private:
  // A segment size, and all fields of a Control.
  static constexpr size_t kControlBytes = CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int));

  bool IsNobodys(int fd, int error, const uint8_t* peer, ErrorQueue& error_queue, int* peer_error);
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
  int unexplained_ = 0;  // the error of the last calls, where nothing says whose it was, and how often it came
  int repeats_ = 0;
  Faults faults_;
  int refused_ = 0;
  int rejected_ = 0;
  FullBuffers full_buffers_;
  int asked_ = 0;    // messages that the last call was to send
  int stopped_ = 0;  // the error that ended it behind the first message, where it is known
  int max_segments_ = kMaxSegments;
  int packed_ = 0;              // messages
  int carried_[kMaxMessages];  // datagrams of each message
  mmsghdr messages_[kMaxMessages];
  iovec pieces_[kMaxMessages];
  alignas(cmsghdr) uint8_t control_buffers_[kMaxMessages][kControlBytes];
};

}  // namespace datagram
