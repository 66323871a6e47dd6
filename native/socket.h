// A UDP socket as the operating system has it. Every function gives 0 or a count, or a negative errno.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

namespace datagram {

// What recvmmsg and sendmmsg take at once (UIO_MAXIOV, net/socket.c).
constexpr int kMostMessages = 1024;
// Datagrams that one receive asks for.
constexpr int kReceiveBatch = 64;
// A slot holds any UDP datagram.
constexpr size_t kSlotBytes = 65536;
// A sockaddr_in6; a sockaddr_in leaves the end unused.
constexpr size_t kNameBytes = 28;

// Where receives put what they find: one slot of each array a datagram. The memory must outlive the inbox.
class Inbox {
 public:
  // A slab of kReceiveBatch slots of kSlotBytes; the bytes of each datagram; the sender of each, kNameBytes apart.
  Inbox(uint8_t* slab, int32_t* lengths, uint8_t* names);
  // Gives how many datagrams there were, at most `most` and kReceiveBatch; 0 when nothing is there.
  int Receive(int fd, int most);

 private:
  int32_t* lengths_;
  // Written once: the kernel changes only the lengths and flags of those that it fills.
  mmsghdr messages_[kReceiveBatch];
  iovec slots_[kReceiveBatch];
};

// Datagrams to send: payloads end to end.
struct Outbox {
  uint8_t* payloads;
  const int32_t* lengths;  // bytes of each payload
  const int32_t* peers;    // index into names for each; -1 for the connected peer
  uint8_t* names;          // kNameBytes apart
  int count;
};

int OpenSocket(int family);
void CloseSocket(int fd);
int BindSocket(int fd, const uint8_t* name, size_t bytes);
// Without a name, dissolves the association.
int ConnectSocket(int fd, const uint8_t* name, size_t bytes);
// Gives the bytes of the local name, at most kNameBytes.
int LocalName(int fd, uint8_t* name);
// The same of the connected peer.
int RemoteName(int fd, uint8_t* name);
int SetOption(int fd, int level, int option, const uint8_t* value, size_t bytes);
// Gives the bytes of the value, at most `bytes`.
int GetOption(int fd, int level, int option, uint8_t* value, size_t bytes);
// Gives how many datagrams from the front were sent, at least 1; the error is that of the first.
int SendBatch(int fd, const Outbox& outbox);
// Gives the index of an interface, 0 when no interface has this name.
unsigned InterfaceIndex(const char* name);
// Writes the name of an interface, at most 16 bytes with the NUL; false when no interface has this index.
bool InterfaceName(unsigned index, char* name);

}  // namespace datagram
