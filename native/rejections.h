// Datagrams that a local rule rejects: a drop in the output chain of nftables or iptables, or a program of a control group.
#pragma once

#include <cstdint>

namespace datagram {

// A rule decides on each packet by itself, some at random: what is tried again meets another decision. sendmmsg(2) stops at the
// first message that fails, and keeps its error to itself where others went before it. So once a rule is met the messages of a
// socket go one by one for a while, and that it was met at first is found by exclusion.
class Rejections {
 public:
  // Whether messages are to go one by one.
  bool one_by_one() const { return left_ > 0; }
  // A message went by itself.
  void Passed() {
    if (left_ > 0) left_--;
  }
  // A rule was met.
  void Met() { left_ = kOneByOne; }
  // It may have been one, or a full buffer: a few go one by one to see.
  void MayBeMet() { left_ = kFewOneByOne; }

 private:
  static constexpr int kOneByOne = 16384;
  static constexpr int kFewOneByOne = 64;

  int left_ = 0;
};

// Sends that found no room, in the network of this thread.
class FullBuffers {
 public:
  // Counts them for the first time, where that was not done yet.
  void Prepare() {
    if (count_ == kUnread) count_ = Count();
  }
  // Whether there may have been one since they were counted last.
  bool Moved() {
    int64_t before = count_;
    count_ = Count();
    return before < 0 || count_ != before;
  }

 private:
  static constexpr int64_t kUnread = -2;

  // -1 where that cannot be read.
  static int64_t Count();

  int64_t count_ = kUnread;
};

// Whether the receive buffer of a socket is at most half full, so that the kernel had room for what ICMP said.
bool HasRoom(int fd);

}  // namespace datagram
