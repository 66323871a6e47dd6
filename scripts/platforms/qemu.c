/* Two system calls of Linux that qemu-user 7.2 lacks, for the programs that it runs: LD_PRELOAD loads this library first. */
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* qemu-user refuses SO_SELECT_ERR_QUEUE. Without it, libuv stops the poll handle of a socket that has an error. */
#define SELECT_ERR_QUEUE 45

int setsockopt(int fd, int level, int option, const void *value, socklen_t length) {
  int (*next)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");
  int result = next(fd, level, option, value, length);
  return result < 0 && level == SOL_SOCKET && option == SELECT_ERR_QUEUE && errno == ENOPROTOOPT ? 0 : result;
}

/* qemu-user returns 0 and receives nothing if there is no memory for a payload (do_sendrecvmsg_locked, syscall.c). */
ssize_t recvmsg(int fd, struct msghdr *header, int flags) {
  ssize_t (*next)(int, struct msghdr *, int) = dlsym(RTLD_NEXT, "recvmsg");
  if (header->msg_iovlen > 0) return next(fd, header, flags);
  char byte;
  struct iovec memory = {&byte, 1};
  header->msg_iov = &memory;
  header->msg_iovlen = 1;
  ssize_t result = next(fd, header, flags);
  header->msg_iov = 0;
  header->msg_iovlen = 0;
  return result;
}
