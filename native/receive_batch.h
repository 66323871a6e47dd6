// Receiving: many messages in one system call, each one datagram or a run of them that the kernel merged (UDP_GRO).
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

#include "error_queue.h"
#include "socket.h"

namespace datagram {

// Messages that one receive asks for; fewer while they are large, so that they stay in the cache until they are copied.
constexpr int kMaxReceived = 32;
constexpr int kLargeBatch = 8;
constexpr int kLargeBytes = 16384;
// A slot holds any message.
constexpr size_t kSlotBytes = 65536;
// Merged runs of more than kHandOutBytes are received into pieces of memory that the program gets as they are. The first
// kPiecesEach pieces are those of the first message, and so on.
constexpr int kPiecesEach = 2;
constexpr int kMaxPieces = kLargeBatch * kPiecesEach;
constexpr size_t kPieceBytes = 32768;
constexpr int kHandOutBytes = 24576;

// How a message came, where the socket asks for it: 0 is unknown, but of the TTL and the TOS, where -1 is.
struct MessageMetadata {
  int32_t interface;       // its index
  int32_t ttl;             // 0 to 255
  int32_t tos;             // 0 to 255
  int32_t family;          // of the address that it came to
  uint8_t destination[16];  // 4 bytes of AF_INET
  uint8_t source[4];       // AF_INET alone: what an answer comes from
  uint32_t drops;          // dropped since the socket was opened, as it was put into the buffer
  uint32_t seconds;        // since the epoch
  int32_t nanoseconds;
};
// JavaScript reads it as an Int32Array: layout.cc.
static_assert(sizeof(MessageMetadata) == 12 * sizeof(int32_t));

// Where receives put what they find: one slot of each array a message. The memory must outlive the batch.
class ReceiveBatch {
 public:
  // A slab of kMaxReceived slots of kSlotBytes; the bytes of each message; the bytes of each datagram of a merged run
  // but the last, 0 where the message is one datagram; the sender of each, kNameBytes apart; how each came.
  // `piece_lengths`: for each message the bytes in each of its pieces, if it lies there; 0 if it lies in its slot. What
  // finds no room in the pieces lies in the slot, at the place that it would have there.
  ReceiveBatch(uint8_t* slab, int32_t* lengths, int32_t* segments, int32_t* piece_lengths, uint8_t* names,
               MessageMetadata* metadata);
  // Receives into this memory of kPieceBytes from now on, in place of what piece `index` was.
  void SetPiece(int index, uint8_t* piece) { scattered_[index / kPiecesEach][index % kPiecesEach].iov_base = piece; }
  // Gives how many messages there were; 0 when nothing is there. Fails with what ICMP said of the connected peer, `peer`;
  // what it said of others is in the error queue alone.
  int Receive(int fd, const uint8_t* peer, ErrorQueue& error_queue);
  // Whether the last Receive got all that it asked for, so that more may be there.
  bool more() const { return more_; }

 private:
  static constexpr size_t kControlBytes = 256;

  int ReadMessages(int fd);
  void ReceiveIntoPieces(int segment);
  void ReceiveIntoSlots();
  void GatherIntoSlot(int message, int length);

  bool more_ = false;
  int batch_ = kMaxReceived;
  int32_t* lengths_;
  int32_t* segments_;
  int32_t* piece_lengths_;
  // The bytes of each piece that the next receive fills, a multiple of a run's segment; 0 if it fills slots.
  int piece_length_ = 0;
  MessageMetadata* metadata_;
  // Written once: after a receive only what the kernel changed is set right.
  mmsghdr messages_[kMaxReceived];
  iovec slots_[kMaxReceived];
  // For each message its pieces, and the end of its slot.
  iovec scattered_[kLargeBatch][kPiecesEach + 1] = {};
  alignas(cmsghdr) uint8_t controls_[kMaxReceived][kControlBytes];
};

}  // namespace datagram
