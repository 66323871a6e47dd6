#include "segmentation.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

#include "socket.h"

namespace datagram {
namespace {

// The kernel keeps a learnt path MTU for the same time (net.ipv4.route.mtu_expires, ip-sysctl.rst).
constexpr int64_t kForgetSeconds = 600;

int64_t Seconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec;
}

std::string KeyOf(const uint8_t* name) {
  return name ? std::string(reinterpret_cast<const char*>(name), NameLength(name)) : std::string();
}

}  // namespace

int Segmentation::Limit(const uint8_t* name) {
  if (!allowed_) return 0;
  // The clock has whole seconds, so this lasts one to two seconds.
  if (full_ && Seconds() - full_since_ > kFullSeconds) full_ = false;
  if (full_) return 0;
  if (limits_.empty()) return INT_MAX;
  if (Seconds() - since_ > kForgetSeconds) {
    limits_.clear();
    return INT_MAX;
  }
  auto found = limits_.find(KeyOf(name));
  return found == limits_.end() ? INT_MAX : found->second;
}

int Segmentation::Refuse(int error, const uint8_t* name, int segment) {
  if (error == EINVAL && segment <= kSureBytes) {
    allowed_ = false;
    return EINVAL;
  }
  if (limits_.size() == kMaxDestinations) limits_.clear();
  if (limits_.empty()) since_ = Seconds();
  limits_[KeyOf(name)] = error == EIO ? 0 : segment - 1;
  return error == EIO ? EIO : EMSGSIZE;
}

void Segmentation::Full() {
  full_ = true;
  full_since_ = Seconds();
}

void Segmentation::ForgetPeer() { limits_.erase(std::string()); }

}  // namespace datagram
