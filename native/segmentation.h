// What may leave as one segmented send (UDP_SEGMENT), and what was refused.
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
  // Bytes of a datagram up to which runs to a destination may be segmented. Without a name, the connected peer.
  int Limit(const uint8_t* name);
  // A run of datagrams of `segment` bytes was refused, and went plainly. Gives the error as it is understood.
  int Refuse(int error, const uint8_t* name, int segment);
  // A queue on the way is full: of a run it may drop a part without a word, so that for a while there are none.
  void Full();
  // The connected peer is another one.
  void ForgetPeer();

 private:
  static constexpr size_t kMaxDestinations = 1024;

  // What every IPv6 link carries of payload (RFC 8200), and IPv4 paths in use do.
  static constexpr int kSureBytes = 1200;

  static constexpr int64_t kFullSeconds = 1;

  bool allowed_ = true;
  bool full_ = false;
  std::unordered_map<std::string, int> limits_;
  int64_t since_ = 0;
  int64_t full_since_ = 0;
};

}  // namespace datagram
