#include "segmentation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

namespace datagram {
namespace {

// The kernel keeps a learnt path MTU for the same time (net.ipv4.route.mtu_expires, ip-sysctl.rst).
constexpr int64_t kForgetSeconds = 600;

int64_t Seconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec;
}

bool IsFree(const uint8_t* name) {
  sa_family_t family;
  memcpy(&family, name, sizeof family);
  return family == 0;
}

size_t Hash(const uint8_t* name) {
  uint32_t hash = 0;
  for (size_t at = 0; at < kNameBytes; at += sizeof hash) {
    uint32_t word;
    memcpy(&word, name + at, sizeof word);
    hash = (hash ^ word) * 0x9e3779b1;
    hash ^= hash >> 15;
  }
  return hash;
}

}  // namespace

int RunLimits::Get(const uint8_t* name) const {
  if (!name) return peer_;
  if (count_ == 0) return INT_MAX;
  Slot key = {};
  memcpy(key.name, name, NameLength(name));
  const Slot* found = Find(key);
  return IsFree(found->name) ? INT_MAX : found->limit;
}

bool RunLimits::Set(const uint8_t* name, int limit) {
  if (!name) {
    peer_ = limit;
    return true;
  }
  if (count_ == kMaxDestinations) Clear();
  if (count_ * 2 >= room_ && !Grow()) return false;
  Slot key = {};
  memcpy(key.name, name, NameLength(name));
  key.limit = limit;
  Slot* found = Find(key);
  if (IsFree(found->name)) count_++;
  *found = key;
  return true;
}

void RunLimits::Clear() {
  free(slots_);
  slots_ = nullptr;
  room_ = count_ = 0;
  peer_ = INT_MAX;
}

// Returns the slot of a name, or the free slot that it would take.
RunLimits::Slot* RunLimits::Find(const Slot& key) const {
  for (size_t at = Hash(key.name);; at++) {
    Slot* slot = &slots_[at & (room_ - 1)];
    if (IsFree(slot->name) || memcmp(slot->name, key.name, kNameBytes) == 0) return slot;
  }
}

bool RunLimits::Grow() {
  Slot* former = slots_;
  size_t former_room = room_;
  size_t room = former_room == 0 ? kFirstSlots : former_room * 2;
  Slot* slots = static_cast<Slot*>(calloc(room, sizeof(Slot)));
  if (!slots) return false;
  slots_ = slots;
  room_ = room;
  for (size_t i = 0; i < former_room; i++) {
    if (!IsFree(former[i].name)) *Find(former[i]) = former[i];
  }
  free(former);
  return true;
}

int Segmentation::Limit(const uint8_t* name) {
  if (!allowed_) return 0;
  // The clock has whole seconds, so this lasts one to two seconds.
  if (full_ && Seconds() - full_since_ > kFullSeconds) full_ = false;
  if (full_) return 0;
  if (limits_.empty()) return INT_MAX;
  if (Seconds() - since_ > kForgetSeconds) {
    limits_.Clear();
    return INT_MAX;
  }
  return limits_.Get(name);
}

int Segmentation::Refuse(int error, const uint8_t* name, int segment) {
  if (error == EINVAL && segment <= kSureBytes) {
    allowed_ = false;
    return EINVAL;
  }
  if (limits_.empty()) since_ = Seconds();
  // Without memory for the limit, the socket sends no runs.
  if (!limits_.Set(name, error == EIO ? 0 : segment - 1)) allowed_ = false;
  return error == EIO ? EIO : EMSGSIZE;
}

void Segmentation::Full() {
  full_ = true;
  full_since_ = Seconds();
}

}  // namespace datagram
