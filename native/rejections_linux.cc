#include "rejections.h"

#include <linux/sock_diag.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

namespace datagram {
namespace {

// Returns the number at the start of a text, after blanks.
int64_t NumberIn(const char* text) {
  text += strspn(text, " \t");
  int64_t number = 0;
  for (; *text >= '0' && *text <= '9'; text++) number = number * 10 + (*text - '0');
  return number;
}

// Returns the number in a column of /proc/net/snmp; -1 if there is no such column.
int64_t Figure(const char* names, const char* figures, const char* column) {
  size_t length = strlen(column);
  while (*names != 0 && *figures != 0) {
    names += strspn(names, " ");
    figures += strspn(figures, " ");
    size_t name = strcspn(names, " \n");
    if (name == length && strncmp(names, column, length) == 0) return NumberIn(figures);
    names += name;
    figures += strcspn(figures, " \n");
    if (*names == '\n') return -1;
  }
  return -1;
}

int64_t CountIPv4() {
  FILE* file = fopen("/proc/thread-self/net/snmp", "re");
  if (!file) return -1;
  int64_t found = -1;
  char names[1024];
  char figures[1024];
  while (found < 0 && fgets(names, sizeof names, file)) {
    if (strncmp(names, "Udp:", 4) == 0 && fgets(figures, sizeof figures, file)) found = Figure(names, figures, "SndbufErrors");
  }
  fclose(file);
  return found;
}

// Returns 0 if this kernel has no IPv6.
int64_t CountIPv6() {
  FILE* file = fopen("/proc/thread-self/net/snmp6", "re");
  if (!file) return 0;
  constexpr char kName[] = "Udp6SndbufErrors";
  int64_t found = 0;
  char line[256];
  while (fgets(line, sizeof line, file)) {
    if (strncmp(line, kName, sizeof kName - 1) == 0) found = NumberIn(line + sizeof kName - 1);
  }
  fclose(file);
  return found;
}

}  // namespace

// The kernel counts every send that fails because a buffer is full (udp_sendmsg, net/ipv4/udp.c; udpv6_sendmsg,
// net/ipv6/udp.c).
int64_t FullBuffers::Count() {
  int64_t ipv4 = CountIPv4();
  return ipv4 < 0 ? -1 : ipv4 + CountIPv6();
}

bool HasRoom(int fd) {
  uint32_t memory[SK_MEMINFO_VARS] = {};
  socklen_t length = sizeof memory;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) != 0) return false;
  return memory[SK_MEMINFO_RMEM_ALLOC] <= memory[SK_MEMINFO_RCVBUF] / 2;
}

}  // namespace datagram
