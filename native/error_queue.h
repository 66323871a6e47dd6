// The error queue of a socket: ICMP errors, and sends that this host refused because of their size (ip(7), IP_RECVERR).
#pragma once

#include <cstddef>
#include <cstdint>

#include "heap.h"
#include "socket.h"

namespace datagram {

// The largest number of errors that wait until JavaScript reads them.
constexpr int kMaxIcmpErrors = 256;

// One ICMP error.
struct IcmpError {
  int32_t error;    // errno
  int32_t version;  // of ICMP: 4 or 6; 0 if the kernel kept only the errno
  int32_t type;
  int32_t code;
};
// JavaScript reads both as an Int32Array: layout.cc.
static_assert(sizeof(IcmpError) == 4 * sizeof(int32_t));

struct ErrorQueueHead {
  int32_t count;        // set to 0 by JavaScript after it has read the errors
  int32_t refused_mtu;  // the path MTU because of which this host refused the last send; 0 if it did not refuse it
  int32_t peer_error;   // errno of the next call about the connected peer; set to 0 by JavaScript
};
static_assert(sizeof(ErrorQueueHead) == 3 * sizeof(int32_t));

// The errors that the sockets of one thread have read. JavaScript reads them after each call that may add some.
class ErrorQueue : public OnHeap {
 public:
  // The result of reading the queue of one socket.
  struct Found {
    int icmp = 0;        // ICMP errors
    int peer_error = 0;  // errno of the last ICMP error about the connected peer, except EMSGSIZE
    bool all = false;    // the queue is empty
  };

  // `numbers`: a head and kMaxIcmpErrors errors. `names`: for each error the names of its destination and its sender, of
  // kNameBytes each. A name of family 0 is unknown. The memory must outlive the queue.
  ErrorQueue(int32_t* numbers, uint8_t* names)
      : head_(reinterpret_cast<ErrorQueueHead*>(numbers)), icmp_errors_(reinterpret_cast<IcmpError*>(head_ + 1)), names_(names) {}
  // Reads the queue of a socket until it is empty or there is no room. `peer` is its connected peer, null if it has none.
  Found Drain(int fd, const uint8_t* peer);
  // As Drain, if no call has failed. Takes the socket's pending error too, if it has no entry in the queue.
  void DrainAll(int fd, const uint8_t* peer);
  // The next call about the connected peer will fail with `error`.
  void KeepForPeer(int error) { head_->peer_error = error; }
  // To be called before a send: `refused_mtu` is about the last send alone.
  void ForgetRefusedMtu() { head_->refused_mtu = 0; }
  int32_t refused_mtu() const { return head_->refused_mtu; }
  // Adds an ICMP error of which the kernel kept only the errno, because its entry found no room in the receive buffer.
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

// Whether the errno of a send or a receive can come from an ICMP error about an earlier send (icmp_err_convert, net/ipv4/icmp.c;
// tab_unreach, net/ipv6/icmp.c).
bool MayBeIcmp(int error);

}  // namespace datagram
