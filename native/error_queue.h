// What the error queue of a socket tells: ICMP errors, and sends that this host refused for their size (ip(7), IP_RECVERR).
#pragma once

#include <cstddef>
#include <cstdint>

#include "socket.h"

namespace datagram {

// ErrorQueue that are held until JavaScript has read them.
constexpr int kMaxIcmpErrors = 256;

// One ICMP error.
struct IcmpError {
  int32_t error;    // its errno
  int32_t version;  // 4 or 6, of ICMP; 0 where the kernel kept nothing but the errno
  int32_t type;
  int32_t code;
};
// JavaScript reads both as an Int32Array: layout.cc.
static_assert(sizeof(IcmpError) == 4 * sizeof(int32_t));

struct ErrorQueueHead {
  int32_t count;        // set to 0 by JavaScript after it has read the errors
  int32_t refused_mtu;  // the MTU over which this host refused the last send; 0 where it did not
  int32_t peer_error;   // what the next call about the connected peer fails with; set to 0 by JavaScript
};
static_assert(sizeof(ErrorQueueHead) == 3 * sizeof(int32_t));

// What the sockets of one thread were told. Read by JavaScript after each call that may fill it.
class ErrorQueue {
 public:
  // What a look into the queue of one socket found.
  struct Found {
    int icmp = 0;        // ICMP errors
    int peer_error = 0;  // the errno of the last that said that the connected peer is not reached
    bool all = false;    // nothing is left
  };

  // A head and kMaxIcmpErrors errors; for each the names of destination and sender, kNameBytes apart. The memory must outlive
  // the queue. A name of family 0 is unknown.
  ErrorQueue(int32_t* numbers, uint8_t* names)
      : head_(reinterpret_cast<ErrorQueueHead*>(numbers)), icmp_errors_(reinterpret_cast<IcmpError*>(head_ + 1)), names_(names) {}
  // Empties the queue of a socket, as far as there is room. `peer` is its connected peer, null where there is none.
  Found Drain(int fd, const uint8_t* peer);
  // The same when no call has failed yet: takes the error that waits without an entry in the queue, too.
  void Look(int fd, const uint8_t* peer);
  // What ICMP said of the connected peer is for a later call to fail with.
  void KeepForPeer(int error) { head_->peer_error = error; }
  // What is read from now on is about a send to come.
  void ForgetRefusedMtu() { head_->refused_mtu = 0; }
  int32_t refused_mtu() const { return head_->refused_mtu; }
  // An ICMP error of which the kernel kept only the errno: its entry found no room in the receive buffer.
  void AddUnknown(int error);

 private:
  bool Read(int fd, const uint8_t* peer, Found* found);
  uint8_t* NameOf(int report, int which) { return names_ + kNameBytes * static_cast<size_t>(report * 2 + which); }

  ErrorQueueHead* head_;
  IcmpError* icmp_errors_;
  uint8_t* names_;
};

// Whether a name is that of the peer.
bool IsPeer(const uint8_t* name, const uint8_t* peer);

// Whether an errno of a send or a receive can be what ICMP said of an earlier send (icmp_err_convert, net/ipv4/icmp.c;
// tab_unreach, net/ipv6/icmp.c).
bool MayBeIcmp(int error);

}  // namespace datagram
