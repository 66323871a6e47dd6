#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "socket.h"

namespace datagram {
namespace {

// SO_SELECT_ERR_QUEUE. With it, a pending error sets EPOLLPRI in addition to EPOLLERR (datagram_poll, net/core/datagram.c).
// libuv stops a poll handle that has only EPOLLERR (uv__poll_io, src/unix/poll.c).
constexpr int kSelectErrQueue = 45;

// The descriptors of the sockets of all threads of the process, because a descriptor has one owner: one bit for each.
class Owned {
 public:
  bool Has(int fd) {
    pthread_mutex_lock(&lock_);
    bool found = IsSet(Bit(fd));
    pthread_mutex_unlock(&lock_);
    return found;
  }
  // Returns EBUSY if the descriptor has an owner, ENOMEM if there is no memory; else 0.
  int Add(int fd) {
    pthread_mutex_lock(&lock_);
    size_t bit = Bit(fd);
    int error = IsSet(bit) ? EBUSY : Grow(bit / 8 + 1) ? 0 : ENOMEM;
    if (error == 0) bits_[bit / 8] = static_cast<uint8_t>(bits_[bit / 8] | Mask(bit));
    pthread_mutex_unlock(&lock_);
    return error;
  }
  void Remove(int fd) {
    pthread_mutex_lock(&lock_);
    size_t bit = Bit(fd);
    if (IsSet(bit)) bits_[bit / 8] = static_cast<uint8_t>(bits_[bit / 8] & ~Mask(bit));
    pthread_mutex_unlock(&lock_);
  }

 private:
  static size_t Bit(int fd) { return static_cast<size_t>(fd); }
  static int Mask(size_t bit) { return 1 << bit % 8; }
  bool IsSet(size_t bit) const { return bit / 8 < bytes_ && (bits_[bit / 8] & Mask(bit)) != 0; }
  bool Grow(size_t least) {
    if (least <= bytes_) return true;
    size_t bytes = least * 2;
    void* bits = realloc(bits_, bytes);
    if (!bits) return false;
    bits_ = static_cast<uint8_t*>(bits);
    memset(bits_ + bytes_, 0, bytes - bytes_);
    bytes_ = bytes;
    return true;
  }

  pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
  uint8_t* bits_ = nullptr;
  size_t bytes_ = 0;
};

// Never destroyed: threads may outlive main().
Owned owned;

int Result(int result) { return result < 0 ? -errno : result; }

// Makes datagrams of `other` take the same routes as datagrams of `fd`: copies the mark, the device and the address. If one
// cannot be copied, it is left out, and `other` is like a plain socket in this.
void LeaveAs(int other, int fd) {
  int on = 1;
  int mark = 0;
  char device[IFNAMSIZ] = "";
  socklen_t length = sizeof mark;
  setsockopt(other, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
  if (getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &length) == 0 && mark != 0) {
    setsockopt(other, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
  }
  length = sizeof device;
  if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &length) == 0 && device[0] != '\0') {
    setsockopt(other, SOL_SOCKET, SO_BINDTODEVICE, device, length);
  }
  sockaddr_in6 local;
  length = sizeof local;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length) != 0) return;
  // The port has the same offset in both kinds of names.
  local.sin6_port = 0;
  (void)bind(other, reinterpret_cast<const sockaddr*>(&local), length);
}

// Returns the interface index in the scope of a name, if the kernel ignores it; else 0. The kernel reads the scope only of
// link-local and interface-local addresses (__ipv6_addr_needs_scope_id, include/net/ipv6.h).
unsigned UnreadScope(const uint8_t* name, size_t bytes) {
  sockaddr_in6 address;
  if (bytes < sizeof address) return 0;
  memcpy(&address, name, sizeof address);
  const in6_addr& host = address.sin6_addr;
  if (address.sin6_family != AF_INET6 || IN6_IS_ADDR_LINKLOCAL(&host) || IN6_IS_ADDR_MC_LINKLOCAL(&host) ||
      IN6_IS_ADDR_MC_NODELOCAL(&host)) {
    return 0;
  }
  return address.sin6_scope_id;
}

// Sets the interface by which datagrams of an IPv6 socket leave if they name none. With 0, the routes decide.
int LeaveBy(int fd, unsigned interface) {
  in6_pktinfo info = {};
  info.ipi6_ifindex = interface;
  return setsockopt(fd, SOL_IPV6, IPV6_PKTINFO, &info, sizeof info);
}

// Connects by the interface of the name's scope. The kernel uses it to choose the route and the local address.
int ConnectByScope(int fd, const uint8_t* name, size_t bytes) {
  unsigned by = UnreadScope(name, bytes);
  if (by != 0 && LeaveBy(fd, by) != 0) return -1;
  int result = connect(fd, reinterpret_cast<const sockaddr*>(name), static_cast<socklen_t>(bytes));
  int error = errno;
  // Each send to this peer names the interface. Datagrams to other destinations must not leave by it.
  if (by != 0) LeaveBy(fd, 0);
  errno = error;
  return result;
}

}  // namespace

socklen_t NameLength(const uint8_t* name) {
  sa_family_t family;
  memcpy(&family, name, sizeof family);
  return family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

bool IsMapped(const uint8_t* name) {
  sockaddr_in6 address;
  memcpy(&address, name, sizeof address);
  return address.sin6_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address.sin6_addr);
}

int OpenSocket(int family) {
  int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  if (fd < 0) return -errno;
  int error = owned.Add(fd);
  if (error != 0) {
    close(fd);
    return -error;
  }
  return fd;
}

int SelectErrors(int fd) {
  int on = 1;
  return setsockopt(fd, SOL_SOCKET, kSelectErrQueue, &on, sizeof on) == 0 ? 0 : -errno;
}

int AdoptSocket(int fd, int family) {
  int found = SocketFamily(fd);
  if (found < 0) return found;
  if (found != family) return -EAFNOSUPPORT;
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return -errno;
  // Another thread may have adopted it since SocketFamily.
  int error = owned.Add(fd);
  return error == 0 ? fd : -error;
}

int SocketFamily(int fd) {
  if (fcntl(fd, F_GETFD) < 0) return -errno;
  int type = 0;
  int family = 0;
  int protocol = 0;
  socklen_t length = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0) return -errno;
  if (type != SOCK_DGRAM) return -EPROTO;
  length = sizeof family;
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) < 0) return -errno;
  if (family != AF_INET && family != AF_INET6) return -EAFNOSUPPORT;
  length = sizeof protocol;
  if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) < 0) return -errno;
  if (protocol != IPPROTO_UDP) return -EPROTONOSUPPORT;
  return owned.Has(fd) ? -EBUSY : family;
}

int DuplicateSocket(int fd) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy < 0 ? -errno : copy;
}

void CloseSocket(int fd) {
  // First, because another thread may get the same number after close.
  DisownSocket(fd);
  close(fd);
}

void DisownSocket(int fd) { owned.Remove(fd); }

int BindSocket(int fd, const uint8_t* name, size_t bytes) {
  return Result(bind(fd, reinterpret_cast<const sockaddr*>(name), static_cast<socklen_t>(bytes)));
}

int ConnectSocket(int fd, const uint8_t* name, size_t bytes) {
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  if (name == nullptr) return Result(connect(fd, &nobody, sizeof nobody));
  return Result(ConnectByScope(fd, name, bytes));
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

// Uses a socket of its own, so that the peer of `fd` stays. The kernel answers from its routes and from ICMP errors.
int PathMtu(int fd, const uint8_t* name, size_t bytes) {
  sa_family_t family;
  memcpy(&family, name, sizeof family);
  int probe = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  if (probe < 0) return -errno;
  LeaveAs(probe, fd);
  int mtu = 0;
  socklen_t length = sizeof mtu;
  bool ipv4 = family == AF_INET || IsMapped(name);
  int result = ConnectByScope(probe, name, bytes);
  if (result == 0) result = getsockopt(probe, ipv4 ? SOL_IP : SOL_IPV6, ipv4 ? IP_MTU : IPV6_MTU, &mtu, &length);
  int error = errno;
  close(probe);
  return result < 0 ? -error : mtu;
}

int SetOption(int fd, int level, int option, const uint8_t* value, size_t bytes) {
  if (bytes > kMaxOptionBytes) return -EINVAL;
  return Result(setsockopt(fd, level, option, value, static_cast<socklen_t>(bytes)));
}

int GetOption(int fd, int level, int option, uint8_t* value, size_t bytes) {
  if (bytes > kMaxOptionBytes) return -EINVAL;
  // Some options count the buffer in units of 8 bytes (sk_get_filter, net/core/filter.c). Others read the size from the buffer
  // itself (ip_mc_msfget, net/ipv4/igmp.c). Therefore the buffer is larger than the kernel is told, and it is zeroed.
  alignas(8) uint8_t room[kMaxOptionBytes * 8];
  memset(room, 0, bytes * 8);
  socklen_t length = static_cast<socklen_t>(bytes);
  if (getsockopt(fd, level, option, room, &length) < 0) return -errno;
  if (length > bytes) length = static_cast<socklen_t>(bytes);
  memcpy(value, room, length);
  return static_cast<int>(length);
}

unsigned InterfaceIndex(const char* name) { return if_nametoindex(name); }

bool InterfaceName(unsigned index, char* name) { return if_indextoname(index, name) != nullptr; }

}  // namespace datagram
