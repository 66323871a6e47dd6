// Receiving: many messages in one system call, each one datagram or a run of them that the kernel merged (UDP_GRO).
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

#include "error_queue.h"
#include "heap.h"
#include "socket.h"

namespace datagram {

// The largest number of messages that one receive asks for. It asks for kLargeBatch while messages have more than
// kLargeBytes, so that they are still in the CPU's cache when they are copied.
constexpr int kMaxReceived = 32;
constexpr int kLargeBatch = 8;
constexpr int kLargeBytes = 16384;
// A slot has room for any message.
constexpr size_t kSlotBytes = 65536;
// Merged runs of more than kHandOutBytes are received into pieces of memory, which JavaScript hands to the program without
// a copy. Each message has kPiecesEach pieces.
constexpr int kPiecesEach = 2;
constexpr int kMaxPieces = kLargeBatch * kPiecesEach;
constexpr size_t kPieceBytes = 32768;
constexpr int kHandOutBytes = 24576;
// Single datagrams are copied to chunks, which JavaScript hands to the program in parts. A chunk has kChunkBytes, or more if the
// datagrams of one receive need more. A datagram of more than half of kChunkBytes gets memory of its own.
constexpr size_t kChunkBytes = 8192;
static_assert(kPiecesEach * kPieceBytes <= kSlotBytes && kHandOutBytes < static_cast<int>(kPieceBytes));

// The metadata of a message, if the socket asks for it. An unknown field is 0; an unknown TTL or TOS is -1.
struct MessageMetadata {
  int32_t interface;       // index of the network interface
  int32_t ttl;             // 0 to 255
  int32_t tos;             // 0 to 255
  int32_t family;          // of the destination
  uint8_t destination[16];  // 4 bytes if the family is AF_INET
  uint8_t source[4];       // the source address of an answer, if the family is AF_INET
  uint32_t drops;          // datagrams dropped from the opening of the socket until this message entered the receive buffer
  uint32_t seconds;        // since the epoch
  int32_t nanoseconds;
};
// JavaScript reads it as an Int32Array: layout.cc.
static_assert(sizeof(MessageMetadata) == 12 * sizeof(int32_t));
static_assert(offsetof(MessageMetadata, destination) == 4 * sizeof(int32_t));
static_assert(offsetof(MessageMetadata, drops) == 9 * sizeof(int32_t));

// The messages of one receive: each has one slot of each array. The memory must outlive the batch.
class ReceiveBatch : public OnHeap {
 public:
  // `slab`: kMaxReceived slots of kSlotBytes, one for each message. `lengths`: the bytes of each message. `segments`: the
  // bytes of each datagram of a merged run except the last; 0 if the message is one datagram. `names`: the senders, each
  // kNameBytes after the one before.
  // `piece_lengths`: the bytes that each piece of a message holds, if the message is in its pieces; 0 if it is in its slot.
  // The end of a message that does not fit its pieces is in the slot, as if the whole message were there.
  // `places`: where a single datagram begins in the chunk; -1 if it is not there.
  ReceiveBatch(uint8_t* slab, int32_t* lengths, int32_t* segments, int32_t* piece_lengths, int32_t* places, uint8_t* names,
               MessageMetadata* metadata);
  // Makes `piece`, of kPieceBytes, the piece `index`. The former piece is not written to any more.
  void SetPiece(int index, uint8_t* piece) { scattered_[index / kPiecesEach][index % kPiecesEach].iov_base = piece; }
  // Makes `chunk`, of kChunkBytes or more, the chunk, and copies the single datagrams from message `from` on to it, as many as it has
  // room for. The next receives copy theirs behind them. The former chunk is not written to any more.
  void SetChunk(uint8_t* chunk, size_t bytes, int from);
  // Returns the number of messages; 0 if none is there. Fails with an ICMP error about `peer`, the connected peer. ICMP
  // errors about other destinations are only added to `error_queue`.
  int Receive(int fd, const uint8_t* peer, ErrorQueue& error_queue);
  // Whether more messages may be there: the last Receive got as many as it asked for.
  bool more() const { return more_; }

 private:
  static constexpr size_t kControlBytes = 256;

  int ReadMessages(int fd);
  void CopyToChunk(int from);
  void ReceiveIntoPieces(int segment);
  void ReceiveIntoSlots();
  void GatherIntoSlot(int message, int length);

  bool more_ = false;
  int full_ = 0;  // receives in a row that got as many messages as they asked for
  bool keeps_memory_ = false;
  int batch_ = kMaxReceived;
  int32_t* lengths_;
  int32_t* segments_;
  int32_t* piece_lengths_;
  int32_t* places_;
  int count_ = 0;  // messages of the last receive
  uint8_t* chunk_ = nullptr;
  size_t chunk_bytes_ = 0;
  size_t chunk_used_ = 0;
  // The bytes of each piece that the next receive fills: a multiple of the expected segment; 0 if it fills slots.
  int piece_length_ = 0;
  MessageMetadata* metadata_;
  // Written once. After a receive, only the fields that the kernel changed are written again.
  mmsghdr messages_[kMaxReceived];
  iovec slots_[kMaxReceived];
  // For each message: its pieces, then the end of its slot.
  iovec scattered_[kLargeBatch][kPiecesEach + 1] = {};
  alignas(cmsghdr) uint8_t controls_[kMaxReceived][kControlBytes];
};

}  // namespace datagram
