// Decides which datagrams may be sent as one segmented send (UDP_SEGMENT), and records refusals of the kernel.
#pragma once

#include <limits.h>

#include <cstddef>
#include <cstdint>

#include "socket.h"

namespace datagram {

// The size in bytes of the largest datagrams that may be sent as a run, for each destination that refused a run.
class RunLimits {
 public:
  RunLimits() = default;
  ~RunLimits() { Clear(); }
  RunLimits(const RunLimits&) = delete;
  RunLimits& operator=(const RunLimits&) = delete;

  bool empty() const { return count_ == 0 && peer_ == INT_MAX; }
  // Returns INT_MAX for a destination without a limit. Null is the connected peer.
  int Get(const uint8_t* name) const;
  // Forgets all limits first if there are kMaxDestinations. Returns false if there is no memory.
  bool Set(const uint8_t* name, int limit);
  void ForgetPeer() { peer_ = INT_MAX; }
  void Clear();

 private:
  static constexpr size_t kMaxDestinations = 1024;
  static constexpr size_t kFirstSlots = 16;

  // A slot of a hash table with linear probing. At most half of the slots are used.
  struct Slot {
    uint8_t name[kNameBytes];  // zero after the end of the name; family 0 if the slot is free
    int limit;
  };

  Slot* Find(const Slot& key) const;
  bool Grow();

  int peer_ = INT_MAX;
  Slot* slots_ = nullptr;
  size_t room_ = 0;  // a power of two
  size_t count_ = 0;
};

// The segmented sends of one socket. The cause of a refusal decides what it applies to. EMSGSIZE, or EINVAL on older kernels:
// datagrams above the path MTU of a destination. EIO: a destination, because the device on the path cannot segment. EINVAL for
// datagrams that fit every path: the whole socket, because its options forbid segmentation.
class Segmentation {
 public:
  void Allow(bool on) { allowed_ = on; }
  // Returns the size in bytes of the largest datagrams that may be sent as a run to a destination. Null is the connected peer.
  int Limit(const uint8_t* name);
  // A run of datagrams of `segment` bytes was refused, and its datagrams were sent one by one. Returns the error of the cause.
  int Refuse(int error, const uint8_t* name, int segment);
  // A queue on the path is full. It may silently drop a part of a run, so no runs are sent for kFullSeconds.
  void Full();
  // The connected peer has changed.
  void ForgetPeer() { limits_.ForgetPeer(); }

 private:
  // Bytes of a payload that fits into one packet on every IPv6 link (RFC 8200), and in practice on every IPv4 path.
  static constexpr int kSureBytes = 1200;

  static constexpr int64_t kFullSeconds = 1;

  bool allowed_ = true;
  bool full_ = false;
  RunLimits limits_;
  int64_t since_ = 0;
  int64_t full_since_ = 0;
};

}  // namespace datagram
