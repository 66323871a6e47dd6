// Datagrams that a local rule rejects: a drop in the output chain of nftables or iptables, or a BPF program of a control group.
#pragma once

#include <cstdint>

namespace datagram {

// A rule decides about each packet separately, sometimes at random, so a second try meets another decision. sendmmsg(2) stops at
// the first message that fails, and hides its error if messages before it were sent. The first rejection is therefore found by
// exclusion. After it, the messages of a socket are sent one by one for a while.
class Rejections {
 public:
  // Whether messages are sent one by one.
  bool one_by_one() const { return left_ > 0; }
  // One message was sent alone.
  void Sent() {
    if (left_ > 0) left_--;
  }
  // A rule rejected a message.
  void Rejected() { left_ = kOneByOne; }
  // Either a rule rejected a message or a buffer was full. A few messages are sent one by one to find the cause.
  void MaybeRejected() { left_ = kFewOneByOne; }

 private:
  static constexpr int kOneByOne = 16384;
  static constexpr int kFewOneByOne = 64;

  int left_ = 0;
};

// The count of sends that failed because a buffer was full, in the network namespace of this thread.
class FullBuffers {
 public:
  // Reads the count, if it was not read yet.
  void Prepare() {
    if (count_ == kUnread) count_ = Count();
  }
  // Whether such a send may have failed since the count was last read.
  bool HasIncreased() {
    int64_t before = count_;
    count_ = Count();
    return before < 0 || count_ != before;
  }

 private:
  static constexpr int64_t kUnread = -2;

  // -1 if the count cannot be read.
  static int64_t Count();

  int64_t count_ = kUnread;
};

// Whether the receive buffer of a socket is at most half full, so that the kernel had room for ICMP errors.
bool HasRoom(int fd);

}  // namespace datagram
