#include "layout.h"

#include <netinet/in.h>

#include <cstddef>
#include <cstdint>

#include "error_queue.h"
#include "handle.h"
#include "send_batch.h"
#include "receive_batch.h"
#include "socket.h"

namespace datagram {
namespace {

// A number with its name. An entry with the value kGroup starts a group, and the entries that follow belong to it.
struct Entry {
  const char* name;
  int value;
};
constexpr int kGroup = -1;

constexpr int Words(size_t bytes) { return static_cast<int>(bytes / sizeof(int32_t)); }

// The offset of a member in words. An offset that is no multiple of a word is a division by zero, and does not compile.
constexpr int Word(size_t bytes) { return Words(bytes) / (bytes % sizeof(int32_t) == 0 ? 1 : 0); }

constexpr Entry kEntries[] = {
    {"arrays", kGroup},
    {"received", kMaxReceived},
    {"slotBytes", kSlotBytes},
    {"pieces", kMaxPieces},
    {"piecesEach", kPiecesEach},
    {"pieceBytes", kPieceBytes},
    {"chunkBytes", kChunkBytes},
    {"datagrams", kMaxMessages},
    {"names", kMaxNames},
    {"icmpErrors", kMaxIcmpErrors},

    {"name", kGroup},
    {"bytes", kNameBytes},
    {"ipv4Bytes", sizeof(sockaddr_in)},
    {"family", offsetof(sockaddr_in6, sin6_family)},
    {"port", offsetof(sockaddr_in6, sin6_port)},
    {"ipv4Address", offsetof(sockaddr_in, sin_addr)},
    {"ipv6Address", offsetof(sockaddr_in6, sin6_addr)},
    {"scope", offsetof(sockaddr_in6, sin6_scope_id)},

    {"metadata", kGroup},
    {"words", Words(sizeof(MessageMetadata))},
    {"interface", Word(offsetof(MessageMetadata, interface))},
    {"ttl", Word(offsetof(MessageMetadata, ttl))},
    {"tos", Word(offsetof(MessageMetadata, tos))},
    {"family", Word(offsetof(MessageMetadata, family))},
    {"destination", Word(offsetof(MessageMetadata, destination))},
    {"source", Word(offsetof(MessageMetadata, source))},
    {"drops", Word(offsetof(MessageMetadata, drops))},
    {"seconds", Word(offsetof(MessageMetadata, seconds))},
    {"nanoseconds", Word(offsetof(MessageMetadata, nanoseconds))},

    {"control", kGroup},
    {"words", Words(sizeof(Control))},
    {"fields", Word(offsetof(Control, fields))},
    {"interface", Word(offsetof(Control, interface))},
    {"ttl", Word(offsetof(Control, ttl))},
    {"tos", Word(offsetof(Control, tos))},
    {"source", Word(offsetof(Control, source))},

    {"controlFields", kGroup},
    {"source", kControlSource},
    {"ttl", kControlTtl},
    {"tos", kControlTos},

    {"errorQueueHead", kGroup},
    {"words", Words(sizeof(ErrorQueueHead))},
    {"count", Word(offsetof(ErrorQueueHead, count))},
    {"refusedMtu", Word(offsetof(ErrorQueueHead, refused_mtu))},
    {"peerError", Word(offsetof(ErrorQueueHead, peer_error))},

    {"icmpError", kGroup},
    {"words", Words(sizeof(IcmpError))},
    {"error", Word(offsetof(IcmpError, error))},
    {"version", Word(offsetof(IcmpError, version))},
    {"type", Word(offsetof(IcmpError, type))},
    {"code", Word(offsetof(IcmpError, code))},

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

// Both families have the same offsets.
static_assert(offsetof(sockaddr_in, sin_family) == offsetof(sockaddr_in6, sin6_family));
static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
static_assert(sizeof(sockaddr_in6) == kNameBytes && kNameBytes % sizeof(int32_t) == 0);
// The numbers in a result fit their bits.
static_assert(kMaxReceived < 1 << kCountBits && kMaxMessages < 1 << kSentBits);
static_assert(kMaxMessages <= INT32_MAX >> (kSentBits + kRefusedBits));

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
