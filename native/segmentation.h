// Which datagrams may be sent as one segmented send (UDP_SEGMENT), and which refusals are remembered.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

namespace datagram {

// Of one socket. A refusal goes as far as its cause: a path carries no datagrams above its MTU whole (EMSGSIZE, of
// older kernels EINVAL), the device on the way to a destination cannot segment (EIO), this socket's options forbid it (EINVAL
// of datagrams that any path carries).
class Segmentation {
 public:
  void Allow(bool on) { allowed_ = on; }
  // The largest datagrams, in bytes, that may be segmented to a destination. Without a name, the connected peer.
  int Limit(const uint8_t* name);
  // A run of datagrams of `segment` bytes was refused, and its datagrams were sent singly. Returns the error by its cause.
  int Refuse(int error, const uint8_t* name, int segment);
  // A queue on the path is full. It may silently drop a part of a run, so for a while there are no runs.
  void Full();
  // The connected peer has changed.
  void ForgetPeer();

 private:
  static constexpr size_t kMaxDestinations = 1024;

  // Bytes of payload that every IPv6 link carries (RFC 8200), and in practice every IPv4 path.
  static constexpr int kSureBytes = 1200;

  static constexpr int64_t kFullSeconds = 1;

  bool allowed_ = true;
  bool full_ = false;
  std::unordered_map<std::string, int> limits_;
  int64_t since_ = 0;
  int64_t full_since_ = 0;
};

}  // namespace datagram
