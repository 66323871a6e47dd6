#!/bin/sh
# Common belief: sendmmsg() passes many datagrams to the kernel with one system call (sendmmsg(2)).
# What happens: with musl, the C library of Alpine Linux, sendmmsg() on a 64-bit machine makes one sendmsg system call for each
# datagram. recvmmsg() makes one system call for all. With glibc both make one. The kernel declares the lengths in struct msghdr
# as size_t and POSIX as int and socklen_t, so musl fills the padding in a copy of each header (src/network/sendmmsg.c).
# Programs that call syscall(SYS_sendmmsg, ...) themselves are not affected.
# Seen with musl 1.2.3 and glibc 2.36. Debian packages: gcc, musl-tools, strace.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >batch.c <<'C'
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <sys/socket.h>

int main(void) {
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof here;
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(s, (void *)&here, length) || getsockname(s, (void *)&here, &length)) return 1;
  if (connect(s, (void *)&here, length)) return 1;
  char data[1] = {'x'};
  struct iovec buffer = {data, sizeof data};
  struct mmsghdr batch[64];
  for (int i = 0; i < 64; i++) batch[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &buffer, .msg_iovlen = 1}};
  if (sendmmsg(s, batch, 64, 0) != 64) return 1;
  return recvmmsg(s, batch, 64, MSG_DONTWAIT, 0) != 64;
}
C
calls() { # calls <program>: the system calls of a batch of 64, each name with its count
  strace -qq -e trace=sendmsg,sendmmsg,recvmsg,recvmmsg "./$1" 2>&1 | sed 's/(.*//' | sort | uniq -c | xargs
}
gcc -o glibc batch.c
musl-gcc -static -o musl batch.c
echo "glibc: $(calls glibc)"
echo "musl: $(calls musl)"
[ "$(calls glibc)" = "1 recvmmsg 1 sendmmsg" ]
[ "$(calls musl)" = "1 recvmmsg 64 sendmsg" ]
