// Chunks of a message that is arriving: frames of docs/wire.md.
#pragma once

#include <cstddef>
#include <cstdint>

namespace datagram {

constexpr size_t kFrameHeaderBytes = 20;
constexpr size_t kFrameChecksumBytes = 4;
// The entries of a table that says how a CRC changes if a certain number of bytes follow: `CrcShift` of src/wire/crc32.ts.
constexpr size_t kCrcShiftEntries = 1024;

// A message, and what is known of its chunks. JavaScript reads and writes it as an Int32Array of nine numbers.
struct ChunkSeries {
  uint8_t header[kFrameHeaderBytes];  // of all chunks, with the number 0 and without the flag `now`
  uint32_t crc;                       // of the chunks that arrived last, one after the other
  int32_t next;                       // the number of the chunk after them
  int32_t first;                      // the number of the first chunk that was taken
  int32_t flags;                      // all flags of the chunks that were taken
};
static_assert(sizeof(ChunkSeries) == 9 * sizeof(int32_t));

// The memory of a message.
struct ChunkMemory {
  uint8_t* message;
  size_t message_bytes;
  uint8_t* arrived;  // a bit for each chunk
  size_t arrived_bytes;
};

// Takes chunks of the message from datagrams of `segment` bytes each: copies their payloads to their places, marks them
// as arrived, and adds them to the CRC. Ends before the first one that is of another message, is not as long as `size`
// of the header, does not have the number after that of the one before, has arrived already, or has a wrong checksum.
// Such a datagram changes nothing.
// Returns the number of the chunks that were taken, at most `max`.
//
// `shift`: kCrcShiftEntries numbers, for as many bytes as a chunk has.
int TakeChunks(const uint8_t* datagrams, size_t segment, int max, const ChunkMemory& memory, const int32_t* shift,
               ChunkSeries* series);

}  // namespace datagram
