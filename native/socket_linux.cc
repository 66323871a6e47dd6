#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "socket.h"

namespace datagram {
namespace {

// With it, an error that waits makes the descriptor EPOLLPRI as well as EPOLLERR (datagram_poll, net/core/datagram.c).
// libuv stops a poll handle on EPOLLERR alone (uv__poll_io, src/unix/poll.c).
constexpr int kSelectErrQueue = 45;

socklen_t NameLength(const uint8_t* name) {
  sa_family_t family;
  memcpy(&family, name, sizeof family);
  return family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

int Result(int result) { return result < 0 ? -errno : result; }

}  // namespace

int OpenSocket(int family) {
  int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  if (fd < 0) return -errno;
  int on = 1;
  if (setsockopt(fd, SOL_SOCKET, kSelectErrQueue, &on, sizeof on) == 0) return fd;
  int error = errno;
  close(fd);
  return -error;
}

void CloseSocket(int fd) { close(fd); }

int BindSocket(int fd, const uint8_t* name, size_t bytes) {
  return Result(bind(fd, reinterpret_cast<const sockaddr*>(name), static_cast<socklen_t>(bytes)));
}

int ConnectSocket(int fd, const uint8_t* name, size_t bytes) {
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  if (name == nullptr) return Result(connect(fd, &nobody, sizeof nobody));
  return Result(connect(fd, reinterpret_cast<const sockaddr*>(name), static_cast<socklen_t>(bytes)));
}

int LocalName(int fd, uint8_t* name) {
  socklen_t length = kNameBytes;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(name), &length) < 0) return -errno;
  return static_cast<int>(length);
}

int RemoteName(int fd, uint8_t* name) {
  socklen_t length = kNameBytes;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(name), &length) < 0) return -errno;
  return static_cast<int>(length);
}

int SetOption(int fd, int level, int option, const uint8_t* value, size_t bytes) {
  return Result(setsockopt(fd, level, option, value, static_cast<socklen_t>(bytes)));
}

int GetOption(int fd, int level, int option, uint8_t* value, size_t bytes) {
  socklen_t length = static_cast<socklen_t>(bytes);
  if (getsockopt(fd, level, option, value, &length) < 0) return -errno;
  return static_cast<int>(length);
}

Inbox::Inbox(uint8_t* slab, int32_t* lengths, uint8_t* names) : lengths_(lengths) {
  memset(messages_, 0, sizeof messages_);
  for (size_t i = 0; i < kReceiveBatch; i++) {
    slots_[i] = {slab + kSlotBytes * i, kSlotBytes};
    msghdr& header = messages_[i].msg_hdr;
    header.msg_name = names + kNameBytes * i;
    header.msg_namelen = kNameBytes;
    header.msg_iov = &slots_[i];
    header.msg_iovlen = 1;
  }
}

int Inbox::Receive(int fd, int most) {
  if (most > kReceiveBatch) most = kReceiveBatch;
  int count;
  do {
    count = recvmmsg(fd, messages_, static_cast<unsigned>(most), MSG_DONTWAIT, nullptr);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return errno == EAGAIN ? 0 : -errno;
  for (int i = 0; i < count; i++) {
    lengths_[i] = static_cast<int32_t>(messages_[i].msg_len);
    messages_[i].msg_hdr.msg_namelen = kNameBytes;
  }
  return count;
}

int SendBatch(int fd, const Outbox& outbox) {
  mmsghdr messages[kMostMessages];
  iovec payloads[kMostMessages];
  memset(messages, 0, sizeof(mmsghdr) * static_cast<size_t>(outbox.count));
  uint8_t* payload = outbox.payloads;
  for (int i = 0; i < outbox.count; i++) {
    size_t length = static_cast<size_t>(outbox.lengths[i]);
    payloads[i] = {payload, length};
    payload += length;
    msghdr& header = messages[i].msg_hdr;
    header.msg_iov = &payloads[i];
    header.msg_iovlen = 1;
    if (outbox.peers[i] < 0) continue;
    uint8_t* name = outbox.names + kNameBytes * static_cast<size_t>(outbox.peers[i]);
    header.msg_name = name;
    header.msg_namelen = NameLength(name);
  }
  int count;
  do {
    count = outbox.count == 1 ? (sendmsg(fd, &messages[0].msg_hdr, MSG_NOSIGNAL) < 0 ? -1 : 1)
                              : sendmmsg(fd, messages, static_cast<unsigned>(outbox.count), MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  return Result(count);
}

unsigned InterfaceIndex(const char* name) { return if_nametoindex(name); }

bool InterfaceName(unsigned index, char* name) { return if_indextoname(index, name) != nullptr; }

}  // namespace datagram
