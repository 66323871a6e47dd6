#include "receive_batch.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_RXQ_OVFL
#define SO_RXQ_OVFL 40
#endif

namespace datagram {
namespace {

// The largest number of times that one receive reads errors. After that the event loop runs first.
constexpr int kMaxRounds = 16;

// The number of full receives in a row from which on datagrams come as a flood. They have more datagrams than the receive buffer
// of a process that was busy for a while: 4 MiB hold about 11,000 short ones, and 2,048 of more than kLargeBytes.
constexpr int kFloodReceives = 1024;

// SCM_TIMESTAMPNS, if the option is SO_TIMESTAMPNS_OLD, which JavaScript sets (asm-generic/socket.h), and its value,
// __kernel_old_timespec. On 32-bit platforms the headers of the C library may mean SO_TIMESTAMPNS_NEW by the same name.
constexpr int kTimestampNs = 35;
struct KernelTime {
  long seconds;
  long nanoseconds;
};

int IntegerOf(const cmsghdr* control) {
  int value;
  memcpy(&value, CMSG_DATA(control), sizeof value);
  return value;
}

void ReadIPv4(const cmsghdr* control, MessageMetadata* metadata) {
  switch (control->cmsg_type) {
    case IP_PKTINFO: {
      in_pktinfo info;
      memcpy(&info, CMSG_DATA(control), sizeof info);
      metadata->interface = info.ipi_ifindex;
      metadata->family = AF_INET;
      memcpy(metadata->destination, &info.ipi_addr, sizeof info.ipi_addr);
      memcpy(metadata->source, &info.ipi_spec_dst, sizeof info.ipi_spec_dst);
      return;
    }
    case IP_TTL:
      metadata->ttl = IntegerOf(control);
      return;
    case IP_TOS:
      metadata->tos = *CMSG_DATA(control);
      return;
  }
}

void ReadIPv6(const cmsghdr* control, MessageMetadata* metadata) {
  switch (control->cmsg_type) {
    case IPV6_PKTINFO: {
      in6_pktinfo info;
      memcpy(&info, CMSG_DATA(control), sizeof info);
      // A datagram over IPv4 also has an IP_PKTINFO, which has more fields.
      if (IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr)) return;
      metadata->interface = static_cast<int32_t>(info.ipi6_ifindex);
      metadata->family = AF_INET6;
      memcpy(metadata->destination, &info.ipi6_addr, sizeof info.ipi6_addr);
      return;
    }
    case IPV6_HOPLIMIT:
      metadata->ttl = IntegerOf(control);
      return;
    case IPV6_TCLASS:
      metadata->tos = IntegerOf(control);
      return;
  }
}

void ReadSocket(const cmsghdr* control, MessageMetadata* metadata) {
  if (control->cmsg_type == SO_RXQ_OVFL) memcpy(&metadata->drops, CMSG_DATA(control), sizeof metadata->drops);
  if (control->cmsg_type == kTimestampNs) {
    KernelTime time;
    memcpy(&time, CMSG_DATA(control), sizeof time);
    metadata->seconds = static_cast<uint32_t>(time.seconds);
    metadata->nanoseconds = static_cast<int32_t>(time.nanoseconds);
  }
}

// Reads the control messages of a message. Returns the bytes of each datagram of a merged run except the last; 0 if the
// message is one datagram.
int ReadControls(msghdr* header, MessageMetadata* metadata) {
  *metadata = {};
  metadata->ttl = metadata->tos = -1;
  int segment = 0;
  for (cmsghdr* each = CMSG_FIRSTHDR(header); each != nullptr; each = CMSG_NXTHDR(header, each)) {
    if (each->cmsg_level == SOL_UDP && each->cmsg_type == UDP_GRO) segment = IntegerOf(each);
    if (each->cmsg_level == SOL_IP) ReadIPv4(each, metadata);
    if (each->cmsg_level == SOL_IPV6) ReadIPv6(each, metadata);
    if (each->cmsg_level == SOL_SOCKET) ReadSocket(each, metadata);
  }
  return segment;
}

// Has glibc keep up to 8 MiB of freed memory for each of its arenas. By default it returns all but 128 KiB to the system at each
// garbage collection, and the memory of the datagrams that come next is faulted in page by page, which costs more than
// receiving them. When a block of mmap is freed, glibc raises its trim threshold to twice the size of the block, unless the
// program has set one (mallopt(3), M_MMAP_THRESHOLD). Other libraries of C do nothing of the kind.
// Only in a flood, or if merged runs are large: the threads of V8's compiler have arenas too, and would keep megabytes that they
// never need again.
void KeepFreedMemory() {
  constexpr size_t kBytes = 4 << 20;
  // Volatile: a compiler may leave out a block that nobody uses.
  void* volatile block = malloc(kBytes);
  free(block);
}

// The bytes that a piece holds of a run: whole datagrams. 0 if the datagrams are too large for pieces.
int PieceLength(int segment) {
  constexpr int kBytes = static_cast<int>(kPieceBytes);
  return segment > 0 && segment <= kBytes / 2 ? kBytes - kBytes % segment : 0;
}

}  // namespace

ReceiveBatch::ReceiveBatch(uint8_t* slab, int32_t* lengths, int32_t* segments, int32_t* piece_lengths, int32_t* places,
                           uint8_t* names, MessageMetadata* metadata)
    : lengths_(lengths), segments_(segments), piece_lengths_(piece_lengths), places_(places), metadata_(metadata) {
  memset(messages_, 0, sizeof messages_);
  for (size_t i = 0; i < kMaxReceived; i++) {
    slots_[i] = {slab + kSlotBytes * i, kSlotBytes};
    msghdr& header = messages_[i].msg_hdr;
    header.msg_name = names + kNameBytes * i;
    header.msg_namelen = kNameBytes;
    header.msg_control = controls_[i];
    header.msg_controllen = kControlBytes;
    header.msg_iov = &slots_[i];
    header.msg_iovlen = 1;
  }
}

void ReceiveBatch::SetChunk(uint8_t* chunk, size_t bytes, int from) {
  chunk_ = chunk;
  chunk_bytes_ = bytes;
  chunk_used_ = 0;
  CopyToChunk(from);
}

int ReceiveBatch::Receive(int fd, const uint8_t* peer, ErrorQueue& error_queue) {
  more_ = false;
  for (int round = 0; round < kMaxRounds; round++) {
    int count = ReadMessages(fd);
    if (count >= 0) return count;
    int error = errno;
    if (error == EAGAIN) return 0;
    if (!MayBeIcmp(error)) return -error;
    ErrorQueue::Found found = error_queue.Drain(fd, peer);
    if (found.peer_error != 0) return -found.peer_error;
    if (!found.all) break;
    if (found.icmp > 0) continue;
    error_queue.AddUnknown(error);
    if (peer) return -error;
  }
  more_ = true;
  return 0;
}

// Returns the number of messages, or -1 with errno.
int ReceiveBatch::ReadMessages(int fd) {
  int count;
  do {
    count = recvmmsg(fd, messages_, static_cast<unsigned>(batch_), MSG_DONTWAIT, nullptr);
  } while (count < 0 && errno == EINTR);
  count_ = count > 0 ? count : 0;
  if (count < 0) return -1;
  more_ = count == batch_;
  full_ = more_ ? full_ + 1 : 0;
  bool large = false;
  int run_segment = 0;
  for (int i = 0; i < count; i++) {
    msghdr& header = messages_[i].msg_hdr;
    int length = static_cast<int>(messages_[i].msg_len);
    int segment = ReadControls(&header, &metadata_[i]);
    if (segment >= length) segment = 0;
    lengths_[i] = length;
    segments_[i] = segment;
    piece_lengths_[i] = 0;
    places_[i] = -1;
    if (length > kLargeBytes) large = true;
    if (length > kHandOutBytes && segment > 0) run_segment = segment;
    if (piece_length_ > 0) {
      bool expected = length > kHandOutBytes && segment > 0 && piece_length_ == PieceLength(segment);
      if (expected) {
        piece_lengths_[i] = piece_length_;
      } else {
        GatherIntoSlot(i, length);
      }
    }
    header.msg_namelen = kNameBytes;
    header.msg_controllen = kControlBytes;
  }
  CopyToChunk(0);
  batch_ = large ? kLargeBatch : kMaxReceived;
  if (!keeps_memory_ && (full_ == kFloodReceives || run_segment > 0)) {
    keeps_memory_ = true;
    KeepFreedMemory();
  }
  if (PieceLength(run_segment) > 0) {
    ReceiveIntoPieces(run_segment);
  } else if (piece_length_ > 0) {
    ReceiveIntoSlots();
  }
  return count;
}

// Copies single datagrams to the chunk, from message `from` on, until one does not fit.
void ReceiveBatch::CopyToChunk(int from) {
  if (!chunk_) return;
  for (int i = from; i < count_; i++) {
    size_t length = static_cast<size_t>(lengths_[i]);
    if (segments_[i] > 0 || length > kChunkBytes / 2) continue;
    if (chunk_used_ + length > chunk_bytes_) return;
    memcpy(chunk_ + chunk_used_, slots_[i].iov_base, length);
    places_[i] = static_cast<int32_t>(chunk_used_);
    chunk_used_ += length;
  }
}

// The next receive expects runs of datagrams of `segment` bytes.
void ReceiveBatch::ReceiveIntoPieces(int segment) {
  piece_length_ = PieceLength(segment);
  size_t bytes = static_cast<size_t>(piece_length_);
  for (int i = 0; i < kLargeBatch; i++) {
    iovec* parts = scattered_[i];
    for (int part = 0; part < kPiecesEach; part++) parts[part].iov_len = bytes;
    uint8_t* slot = static_cast<uint8_t*>(slots_[i].iov_base);
    parts[kPiecesEach] = {slot + kPiecesEach * bytes, kSlotBytes - kPiecesEach * bytes};
    messages_[i].msg_hdr.msg_iov = parts;
    messages_[i].msg_hdr.msg_iovlen = kPiecesEach + 1;
  }
}

void ReceiveBatch::ReceiveIntoSlots() {
  piece_length_ = 0;
  for (int i = 0; i < kLargeBatch; i++) {
    messages_[i].msg_hdr.msg_iov = &slots_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

// Copies a message from its pieces to its slot.
void ReceiveBatch::GatherIntoSlot(int message, int length) {
  uint8_t* to = static_cast<uint8_t*>(slots_[message].iov_base);
  for (int part = 0, left = length; part < kPiecesEach && left > 0; part++, left -= piece_length_) {
    size_t bytes = static_cast<size_t>(left < piece_length_ ? left : piece_length_);
    memcpy(to + static_cast<size_t>(part * piece_length_), scattered_[message][part].iov_base, bytes);
  }
}

}  // namespace datagram
