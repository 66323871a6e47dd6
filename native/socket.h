// A UDP socket of the operating system. Every function that returns an int returns 0, a positive result or a negative errno.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

namespace datagram {

// The size of a sockaddr_in6. A sockaddr_in does not use the end.
constexpr size_t kNameBytes = 28;

// Returns the size of a name in bytes, by its family.
socklen_t NameLength(const uint8_t* name);
// Whether an AF_INET6 name is an IPv4 address inside IPv6. The kernel sends to it over IPv4.
bool IsMapped(const uint8_t* name);

int OpenSocket(int family);
// Has pending errors reported as an event of their own. libuv stops a poll handle without that.
int SelectErrors(int fd);
// Adopts a descriptor that another program opened: it becomes non-blocking, and child processes do not inherit it. Returns the
// descriptor or an error: an error of SocketFamily, or EAFNOSUPPORT for a socket of another family.
int AdoptSocket(int fd, int family);
// Returns the family of a UDP socket over IP. Errors: EBADF: not open; ENOTSOCK: not a socket; EPROTO: not a datagram socket;
// EAFNOSUPPORT: not over IP; EPROTONOSUPPORT: not UDP; EBUSY: a socket that OpenSocket or AdoptSocket returned.
int SocketFamily(int fd);
// Returns another descriptor of the same socket, which child processes do not inherit.
int DuplicateSocket(int fd);
void CloseSocket(int fd);
// Gives up ownership of a socket, and leaves the socket open.
void DisownSocket(int fd);
int BindSocket(int fd, const uint8_t* name, size_t bytes);
// If `name` is null, removes the peer.
int ConnectSocket(int fd, const uint8_t* name, size_t bytes);
// Writes the local name. Returns its size in bytes, at most kNameBytes.
int LocalName(int fd, uint8_t* name);
// Writes the name of the connected peer. Returns its size in bytes, at most kNameBytes.
int RemoteName(int fd, uint8_t* name);
// Returns the path MTU to a destination in bytes, as the kernel knows it for this socket now.
int PathMtu(int fd, const uint8_t* name, size_t bytes);
// The maximum size in bytes of the value of an option.
constexpr size_t kMaxOptionBytes = 4096;
int SetOption(int fd, int level, int option, const uint8_t* value, size_t bytes);
// Reads a value. Returns its size, at most `bytes`.
int GetOption(int fd, int level, int option, uint8_t* value, size_t bytes);
// Returns the index of an interface; 0 if no interface has this name.
unsigned InterfaceIndex(const char* name);
// Writes the name of an interface, at most 16 bytes with the NUL. Returns false if no interface has this index.
bool InterfaceName(unsigned index, char* name);

}  // namespace datagram
