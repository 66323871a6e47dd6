#include "error_queue.h"

#include <errno.h>
// Must precede the kernel's header, which leaves out what is already defined.
#include <netinet/in.h>
#include <linux/errqueue.h>
#include <string.h>

namespace datagram {
namespace {

// Room for the extended error, the address behind it, and the control messages that the socket's options add.
constexpr size_t kControlBytes = 512;

const sock_extended_err* ErrorOf(msghdr* header) {
  for (cmsghdr* each = CMSG_FIRSTHDR(header); each != nullptr; each = CMSG_NXTHDR(header, each)) {
    bool ipv4 = each->cmsg_level == SOL_IP && each->cmsg_type == IP_RECVERR;
    bool ipv6 = each->cmsg_level == SOL_IPV6 && each->cmsg_type == IPV6_RECVERR;
    if ((ipv4 || ipv6) && each->cmsg_len >= CMSG_LEN(sizeof(sock_extended_err))) {
      return reinterpret_cast<const sock_extended_err*>(CMSG_DATA(each));
    }
  }
  return nullptr;
}

}  // namespace

bool IsPeer(const uint8_t* name, const uint8_t* peer) {
  sa_family_t family;
  memcpy(&family, name, sizeof family);
  if (memcmp(name, peer, sizeof family) != 0) return false;
  if (family == AF_INET) return memcmp(name, peer, offsetof(sockaddr_in, sin_zero)) == 0;
  constexpr size_t kAddress = offsetof(sockaddr_in6, sin6_addr);
  return memcmp(name + offsetof(sockaddr_in6, sin6_port), peer + offsetof(sockaddr_in6, sin6_port), sizeof(in_port_t)) == 0 &&
         memcmp(name + kAddress, peer + kAddress, sizeof(in6_addr)) == 0;
}

bool MayBeIcmp(int error) {
  switch (error) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENONET:
    case EPROTO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EMSGSIZE:
    case EACCES:
      return true;
    default:
      return false;
  }
}

ErrorQueue::Found ErrorQueue::Drain(int fd, const uint8_t* peer) {
  Found found;
  while (Read(fd, peer, &found)) continue;
  return found;
}

void ErrorQueue::DrainAll(int fd, const uint8_t* peer) {
  Found found = Drain(fd, peer);
  if (found.all) {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = 0;
    // An ICMP error that arrived in between left both a pending error and an entry.
    int before = found.icmp;
    while (error != 0 && Read(fd, peer, &found)) continue;
    if (error != 0 && found.icmp == before) {
      AddUnknown(error);
      if (peer && error != EMSGSIZE) found.peer_error = error;
    }
  }
  if (found.peer_error != 0) KeepForPeer(found.peer_error);
}

void ErrorQueue::AddUnknown(int error) {
  if (head_->count == kMaxIcmpErrors) return;
  memset(NameOf(head_->count, 0), 0, 2 * kNameBytes);
  icmp_errors_[head_->count++] = {error, 0, 0, 0};
}

// Reads one entry. Returns false if there is none, or no room for it.
bool ErrorQueue::Read(int fd, const uint8_t* peer, Found* found) {
  if (head_->count == kMaxIcmpErrors) return false;
  uint8_t* destination = NameOf(head_->count, 0);
  uint8_t* from = NameOf(head_->count, 1);
  memset(destination, 0, 2 * kNameBytes);
  alignas(cmsghdr) uint8_t control[kControlBytes];
  // The payload of the datagram that the error is about is not needed.
  msghdr header = {};
  header.msg_name = destination;
  header.msg_namelen = kNameBytes;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t result;
  do {
    result = recvmsg(fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT);
  } while (result < 0 && errno == EINTR);
  if (result < 0) {
    found->all = true;
    return false;
  }
  const sock_extended_err* error = ErrorOf(&header);
  if (!error) return true;
  if (error->ee_origin == SO_EE_ORIGIN_LOCAL) {
    // The send has failed with this error already. Only the MTU is new.
    if (error->ee_errno == EMSGSIZE) head_->refused_mtu = static_cast<int32_t>(error->ee_info);
    return true;
  }
  if (error->ee_origin != SO_EE_ORIGIN_ICMP && error->ee_origin != SO_EE_ORIGIN_ICMP6) return true;
  const sockaddr* offender = SO_EE_OFFENDER(error);
  if (offender->sa_family == AF_INET) memcpy(from, offender, sizeof(sockaddr_in));
  if (offender->sa_family == AF_INET6) memcpy(from, offender, sizeof(sockaddr_in6));
  int code = static_cast<int>(error->ee_errno);
  int version = error->ee_origin == SO_EE_ORIGIN_ICMP ? 4 : 6;
  icmp_errors_[head_->count++] = {code, version, error->ee_type, error->ee_code};
  found->icmp++;
  if (peer && code != EMSGSIZE && IsPeer(destination, peer)) found->peer_error = code;
  return true;
}

}  // namespace datagram
