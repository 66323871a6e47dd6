#include "chunks.h"

#include <string.h>

#include "crc32.h"

namespace datagram {
namespace {

constexpr size_t kFlagsAt = 1;
constexpr size_t kNumberAt = 8;
constexpr size_t kSizeAt = 10;

size_t Number16(const uint8_t* bytes) { return static_cast<size_t>(bytes[0] << 8 | bytes[1]); }

uint32_t Number32(const uint8_t* bytes) {
  return static_cast<uint32_t>(Number16(bytes)) << 16 | static_cast<uint32_t>(Number16(bytes + 2));
}

// All bits of a header but the flag `now` and the number of the chunk.
constexpr uint8_t kSame[kFrameHeaderBytes] = {0xff, 0xef, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,    0,
                                              0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

template <typename Word>
Word WordAt(const uint8_t* bytes, size_t at) {
  Word word;
  memcpy(&word, bytes + at, sizeof word);
  return word;
}

// Words, and no copy with other bytes in it: the CPU would wait for the bytes before it could load them again as words.
bool HasHeader(const uint8_t* datagram, const uint8_t* header) {
  uint64_t difference = 0;
  for (size_t at = 0; at < 16; at += 8)
    difference |= (WordAt<uint64_t>(datagram, at) ^ WordAt<uint64_t>(header, at)) & WordAt<uint64_t>(kSame, at);
  return (difference | (WordAt<uint32_t>(datagram, 16) ^ WordAt<uint32_t>(header, 16))) == 0;
}

uint32_t Shifted(uint32_t crc, const int32_t* shift) {
  return static_cast<uint32_t>(shift[crc & 0xff] ^ shift[256 + (crc >> 8 & 0xff)] ^ shift[512 + (crc >> 16 & 0xff)] ^
                               shift[768 + (crc >> 24)]);
}

}  // namespace

int TakeChunks(const uint8_t* datagrams, size_t segment, int max, const ChunkMemory& memory, const int32_t* shift,
               ChunkSeries* series) {
  const size_t size = Number16(series->header + kSizeAt);
  const size_t sealed = kFrameHeaderBytes + size;
  if (size == 0 || segment != sealed + kFrameChecksumBytes) return 0;
  const size_t first = Number16(datagrams + kNumberAt);
  uint32_t crc = first == static_cast<size_t>(series->next) ? series->crc : 0;
  int flags = 0;
  int taken = 0;
  for (const uint8_t* datagram = datagrams; taken < max; taken++, datagram += segment) {
    const size_t number = first + static_cast<size_t>(taken);
    if (Number16(datagram + kNumberAt) != number || !HasHeader(datagram, series->header)) break;
    const uint8_t bit = static_cast<uint8_t>(1 << (number & 7));
    if ((number + 1) * size > memory.message_bytes || number >> 3 >= memory.arrived_bytes) break;
    if (memory.arrived[number >> 3] & bit) break;
    const uint32_t own = Crc32(0, datagram, sealed);
    if (own != Number32(datagram + sealed)) break;
    // The CRC of the payload is `own` ^ the CRC of the header, shifted by the payload.
    crc = Shifted(crc ^ Crc32(0, datagram, kFrameHeaderBytes), shift) ^ own;
    // The payload is in the cache of the CPU now.
    memcpy(memory.message + number * size, datagram + kFrameHeaderBytes, size);
    memory.arrived[number >> 3] |= bit;
    flags |= datagram[kFlagsAt];
  }
  series->first = static_cast<int32_t>(first);
  series->flags = flags;
  if (taken > 0) {
    series->crc = crc;
    series->next = static_cast<int32_t>(first) + taken;
  }
  return taken;
}

}  // namespace datagram
