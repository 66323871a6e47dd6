// A UDP socket as the operating system has it. Every function gives 0 or a count, or a negative errno.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

namespace datagram {

// A sockaddr_in6; a sockaddr_in leaves the end unused.
constexpr size_t kNameBytes = 28;

// The bytes of a name, by its family.
socklen_t NameLength(const uint8_t* name);
// Whether a name of AF_INET6 is an IPv4 address inside IPv6, which the kernel sends over IPv4.
bool IsMapped(const uint8_t* name);

int OpenSocket(int family);
// Takes over a descriptor that another has opened: non-blocking from now on, and not inherited. Gives it back, or an error: that
// of SocketFamily, or EAFNOSUPPORT for a socket of another family.
int AdoptSocket(int fd, int family);
// Gives the family of a UDP socket over IP. EBADF: not open; ENOTSOCK: no socket; EPROTO: no datagram socket;
// EAFNOSUPPORT: not over IP; EPROTONOSUPPORT: not UDP; EBUSY: a socket that OpenSocket or AdoptSocket gave.
int SocketFamily(int fd);
void CloseSocket(int fd);
// Gives up a socket and leaves it open.
void DisownSocket(int fd);
int BindSocket(int fd, const uint8_t* name, size_t bytes);
// Without a name, dissolves the association.
int ConnectSocket(int fd, const uint8_t* name, size_t bytes);
// Gives the bytes of the local name, at most kNameBytes.
int LocalName(int fd, uint8_t* name);
// The same of the connected peer.
int RemoteName(int fd, uint8_t* name);
// Bytes of the largest packet that goes whole to a destination, as the kernel has it for this socket now.
int PathMtu(int fd, const uint8_t* name, size_t bytes);
// Bytes of the longest value that an option is set to or read as.
constexpr size_t kMaxOptionBytes = 4096;
int SetOption(int fd, int level, int option, const uint8_t* value, size_t bytes);
// Gives the bytes of the value, at most `bytes`.
int GetOption(int fd, int level, int option, uint8_t* value, size_t bytes);
// Gives the index of an interface, 0 when no interface has this name.
unsigned InterfaceIndex(const char* name);
// Writes the name of an interface, at most 16 bytes with the NUL; false when no interface has this index.
bool InterfaceName(unsigned index, char* name);

}  // namespace datagram
