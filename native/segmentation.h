// Decides which datagrams may be sent as one segmented send (UDP_SEGMENT), and records refusals of the kernel.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

namespace datagram {

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
  void ForgetPeer();

 private:
  static constexpr size_t kMaxDestinations = 1024;

  // Bytes of a payload that fits into one packet on every IPv6 link (RFC 8200), and in practice on every IPv4 path.
  static constexpr int kSureBytes = 1200;

  static constexpr int64_t kFullSeconds = 1;

  bool allowed_ = true;
  bool full_ = false;
  std::unordered_map<std::string, int> limits_;
  int64_t since_ = 0;
  int64_t full_since_ = 0;
};

}  // namespace datagram
