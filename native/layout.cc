#include "layout.h"

#include <netinet/in.h>

#include <cstddef>
#include <cstdint>

#include "handle.h"
#include "inbox.h"
#include "outbox.h"
#include "reports.h"
#include "socket.h"

namespace datagram {
namespace {

// A number; one without a value starts the group of those that follow.
struct Entry {
  const char* name;
  int value;
};
constexpr int kGroup = -1;

constexpr int Words(size_t bytes) { return static_cast<int>(bytes / sizeof(int32_t)); }

// Where a member lies, in words; what does not start a word is a division by zero, which no constant has.
constexpr int Word(size_t bytes) { return Words(bytes) / (bytes % sizeof(int32_t) == 0 ? 1 : 0); }

constexpr Entry kEntries[] = {
    {"arrays", kGroup},
    {"received", kReceiveBatch},
    {"slotBytes", kSlotBytes},
    {"datagrams", kMostMessages},
    {"reports", kMostReports},

    {"name", kGroup},
    {"bytes", kNameBytes},
    {"ipv4Bytes", sizeof(sockaddr_in)},
    {"family", offsetof(sockaddr_in6, sin6_family)},
    {"port", offsetof(sockaddr_in6, sin6_port)},
    {"ipv4Address", offsetof(sockaddr_in, sin_addr)},
    {"ipv6Address", offsetof(sockaddr_in6, sin6_addr)},
    {"scope", offsetof(sockaddr_in6, sin6_scope_id)},

    {"about", kGroup},
    {"words", Words(sizeof(About))},
    {"interface", Word(offsetof(About, interface))},
    {"ttl", Word(offsetof(About, ttl))},
    {"tos", Word(offsetof(About, tos))},
    {"family", Word(offsetof(About, family))},
    {"destination", Word(offsetof(About, destination))},
    {"source", Word(offsetof(About, source))},
    {"drops", Word(offsetof(About, drops))},
    {"seconds", Word(offsetof(About, seconds))},
    {"nanoseconds", Word(offsetof(About, nanoseconds))},

    {"datagram", kGroup},
    {"words", Words(sizeof(Datagram))},
    {"start", Word(offsetof(Datagram, start))},
    {"length", Word(offsetof(Datagram, length))},
    {"peer", Word(offsetof(Datagram, peer))},

    {"how", kGroup},
    {"words", Words(sizeof(How))},
    {"names", Word(offsetof(How, names))},
    {"interface", Word(offsetof(How, interface))},
    {"ttl", Word(offsetof(How, ttl))},
    {"tos", Word(offsetof(How, tos))},
    {"source", Word(offsetof(How, source))},

    {"howNames", kGroup},
    {"source", kHowSource},
    {"ttl", kHowTtl},
    {"tos", kHowTos},

    {"reportsHead", kGroup},
    {"words", Words(sizeof(ReportsHead))},
    {"count", Word(offsetof(ReportsHead, count))},
    {"refusedMtu", Word(offsetof(ReportsHead, refused_mtu))},
    {"peerError", Word(offsetof(ReportsHead, peer_error))},

    {"report", kGroup},
    {"words", Words(sizeof(Report))},
    {"error", Word(offsetof(Report, error))},
    {"version", Word(offsetof(Report, version))},
    {"type", Word(offsetof(Report, type))},
    {"code", Word(offsetof(Report, code))},

    {"events", kGroup},
    {"readable", kReadable},
    {"writable", kWritable},
    {"failing", kFailing},

    {"receiveResult", kGroup},
    {"countBits", kCountBits},

    {"sendResult", kGroup},
    {"sentBits", kSentBits},
    {"refusedBits", kRefusedBits},
};

// One set of offsets serves both families.
static_assert(offsetof(sockaddr_in, sin_family) == offsetof(sockaddr_in6, sin6_family));
static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
static_assert(sizeof(sockaddr_in6) == kNameBytes && kNameBytes % sizeof(int32_t) == 0);
// What the results carry fits their bits.
static_assert(kReceiveBatch < 1 << kCountBits && kMostMessages < 1 << kSentBits);
static_assert(kMostMessages <= INT32_MAX >> (kSentBits + kRefusedBits));

}  // namespace

napi_value LayoutOf(napi_env env) {
  napi_value layout = nullptr;
  napi_value group = nullptr;
  if (napi_create_object(env, &layout) != napi_ok) return nullptr;
  for (const Entry& entry : kEntries) {
    napi_value value = nullptr;
    bool is_group = entry.value == kGroup;
    napi_status made = is_group ? napi_create_object(env, &value) : napi_create_int32(env, entry.value, &value);
    if (made != napi_ok || napi_set_named_property(env, is_group ? layout : group, entry.name, value) != napi_ok) {
      return nullptr;
    }
    if (is_group) group = value;
  }
  return layout;
}

}  // namespace datagram
