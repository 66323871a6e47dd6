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

int Result(int result) { return result < 0 ? -errno : result; }

}  // namespace

socklen_t NameLength(const uint8_t* name) {
  sa_family_t family;
  memcpy(&family, name, sizeof family);
  return family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

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

unsigned InterfaceIndex(const char* name) { return if_nametoindex(name); }

bool InterfaceName(unsigned index, char* name) { return if_indextoname(index, name) != nullptr; }

}  // namespace datagram
