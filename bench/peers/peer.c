/*
 * Shows what the kernel can do for a program without a runtime, as the measure for all others. See protocol.ts for the arguments
 * and the output of a peer. `offload=1` sends with UDP_SEGMENT and receives with UDP_GRO; otherwise only sendmmsg and recvmmsg.
 * `metadata=1` asks for the sources and the metadata that the package asks for, and reads none of them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  most_segments = 64, /* in one send: the limit of kernels before 6.9 */
  most_payload = 65507,
  most_messages = 1024, /* in one call: the kernel's limit */
  most_sockets = 4096,
  receive_messages = 64,
  longest_seconds = 120,
};

static void about(void);
static void receive_role(void);
static void send_role(void);
static void echo_role(void);
static void client_role(void);
static void park_role(void);

static const struct {
  const char *name;
  void (*play)(void);
} roles[] = {
    {"about", about},     {"receive", receive_role}, {"send", send_role},
    {"echo", echo_role},  {"client", client_role},   {"park", park_role},
};

static int setting_count;
static char **settings;

static int sockets[most_sockets];
static int ports[most_sockets];

static const char *text(const char *name, const char *otherwise);
static long number(const char *name, long otherwise);
static double seconds_of(const char *name);
static int bound(int *port);
static void tell_ports(int count);
static struct sockaddr_in address_of(int port);
static double seconds_on(clockid_t clock);
static double now(void);
static long proc(const char *file, int field);
static void check(int ok, const char *what);

int main(int argc, char **argv) {
  alarm(longest_seconds);
  setting_count = argc - 2;
  settings = argv + 2;
  for (size_t index = 0; argc > 1 && index < sizeof roles / sizeof *roles; index++) {
    if (strcmp(argv[1], roles[index].name) != 0) continue;
    roles[index].play();
    return 0;
  }
  fprintf(stderr, "no role %s\n", argc > 1 ? argv[1] : "");
  return 1;
}

static void about(void) {
  /* The version of Clang contains its name. GCC has only the number. */
  printf("{\"version\":\"%s%s\"}\n", strchr(__VERSION__, 'C') ? "" : "GCC ", __VERSION__);
}

/* ---- the measured time: it begins a while after the first look ---- */

struct window {
  double warm_up, length, waited_before, first, start, seconds, waited, cpu_seconds;
  long before, datagrams, rss_bytes;
};

/* Seconds in which this thread was ready to run and had no CPU. */
static double waited(void) { return (double)proc("/proc/thread-self/schedstat", 1) / 1e9; }

static struct window new_window(void) {
  return (struct window){.waited_before = waited(), .warm_up = seconds_of("warmUpMs"), .length = seconds_of("windowMs")};
}

/* Opens and closes the window when it is time, with the count of datagrams until now. Returns the time. */
static double look(struct window *window, long count) {
  double at = now();
  if (window->first == 0) window->first = at;
  if (window->start == 0) {
    if (at - window->first < window->warm_up) return at;
    window->start = at;
    window->before = count;
    window->cpu_seconds = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
  } else if (window->seconds == 0 && at - window->start >= window->length) {
    window->seconds = at - window->start;
    window->datagrams = count - window->before;
    window->cpu_seconds = seconds_on(CLOCK_PROCESS_CPUTIME_ID) - window->cpu_seconds;
    window->waited = (waited() - window->waited_before) / (at - window->first);
    window->rss_bytes = proc("/proc/self/statm", 1) * sysconf(_SC_PAGESIZE);
  }
  return at;
}

/* Prints the figures as the beginning of a JSON object. */
static void tell_window(const struct window *window) {
  printf("{\"datagrams\":%ld,\"seconds\":%f,\"waited\":%f,\"cpuSeconds\":%f,\"rssBytes\":%ld", window->datagrams,
         window->seconds, window->waited, window->cpu_seconds, window->rss_bytes);
}

/* ---- receive ---- */

struct count {
  long datagrams;
  long bytes;
};

static struct mmsghdr inbox[receive_messages];
static struct iovec inbox_parts[receive_messages];
static char inbox_control[receive_messages][256];

static void open_inbox(void) {
  for (int index = 0; index < receive_messages; index++) {
    inbox_parts[index].iov_base = malloc(65536);
    check(inbox_parts[index].iov_base != NULL, "malloc");
    inbox_parts[index].iov_len = 65536;
    inbox[index].msg_hdr.msg_iov = &inbox_parts[index];
    inbox[index].msg_hdr.msg_iovlen = 1;
    inbox[index].msg_hdr.msg_control = inbox_control[index];
  }
}

/* The number of datagrams in one message: the kernel reports the length of merged datagrams. */
static long datagrams_in(const struct mmsghdr *message) {
  struct msghdr *header = (struct msghdr *)&message->msg_hdr;
  for (struct cmsghdr *each = CMSG_FIRSTHDR(header); each; each = CMSG_NXTHDR(header, each)) {
    if (each->cmsg_level != IPPROTO_UDP || each->cmsg_type != UDP_GRO) continue;
    int segment;
    memcpy(&segment, CMSG_DATA(each), sizeof segment);
    return ((long)message->msg_len + segment - 1) / segment;
  }
  return 1;
}

/* Reads once and adds the datagrams to the count. Returns 0 if there are none. */
static int receive_batch(int fd, struct count *count) {
  for (int index = 0; index < receive_messages; index++) {
    inbox[index].msg_hdr.msg_controllen = sizeof inbox_control[index];
  }
  int got = recvmmsg(fd, inbox, receive_messages, MSG_WAITFORONE, NULL);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  check(got >= 0, "recvmmsg");
  for (int index = 0; index < got; index++) {
    count->datagrams += datagrams_in(&inbox[index]);
    count->bytes += inbox[index].msg_len;
  }
  return 1;
}

/* One socket blocks in recvmmsg; epoll watches many. Returns 0 after `quiet` seconds without a datagram. */
static int receive_some(int socket_count, int epoll, double quiet, struct count *count) {
  if (socket_count == 1) return receive_batch(sockets[0], count);
  struct epoll_event events[256];
  int ready = epoll_wait(epoll, events, 256, (int)(quiet * 1000));
  check(ready >= 0, "epoll_wait");
  for (int index = 0; index < ready; index++) receive_batch(events[index].data.fd, count);
  return ready > 0;
}

/* Whether standard input has ended, which means that the sender has. */
static int nothing_more(void) { return poll(&(struct pollfd){.fd = STDIN_FILENO, .events = POLLIN}, 1, 0) > 0; }

static void ask_for_metadata(int fd) {
  int on = 1;
  check(setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) == 0, "IP_PKTINFO");
  check(setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on) == 0, "IP_RECVTTL");
  check(setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on) == 0, "IP_RECVTOS");
  check(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) == 0, "SO_TIMESTAMPNS");
  check(setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on) == 0, "SO_RXQ_OVFL");
  static struct sockaddr_in sources[receive_messages];
  for (int index = 0; index < receive_messages; index++) {
    inbox[index].msg_hdr.msg_name = &sources[index];
    inbox[index].msg_hdr.msg_namelen = sizeof sources[index];
  }
}

static void receive_role(void) {
  int socket_count = (int)number("sockets", 1);
  double quiet = seconds_of("quietMs");
  int epoll = epoll_create1(EPOLL_CLOEXEC), gro = number("offload", 0) != 0;
  check(epoll >= 0 && socket_count <= most_sockets, "epoll_create1");
  open_inbox();
  for (int index = 0; index < socket_count; index++) {
    int fd = sockets[index] = bound(&ports[index]);
    struct timeval timeout = {(time_t)quiet, (suseconds_t)((quiet - (time_t)quiet) * 1e6)};
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    check(setsockopt(fd, IPPROTO_UDP, UDP_GRO, &gro, sizeof gro) == 0, "UDP_GRO");
    check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0, "SO_RCVTIMEO");
    if (number("metadata", 0) != 0) ask_for_metadata(fd);
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
  }
  tell_ports(socket_count);

  struct count count = {0, 0};
  struct window window = new_window();
  for (;;) {
    int came = receive_some(socket_count, epoll, quiet, &count);
    if (count.datagrams > 0) look(&window, count.datagrams);
    if (!came && window.seconds > 0 && nothing_more()) break;
  }
  tell_window(&window);
  printf(",\"total\":%ld,\"bytes\":%ld}\n", count.datagrams, count.bytes);
}

/* ---- send ---- */

static struct mmsghdr *outbox;
static int outbox_count;
static long outbox_datagrams;

/* Adds one message: `segments` datagrams of `size` bytes for one peer. */
static void add_message(struct sockaddr_in *to, char *payload, size_t size, int segments) {
  struct msghdr *header = &outbox[outbox_count++].msg_hdr;
  struct iovec *part = calloc(1, sizeof *part);
  check(part != NULL, "calloc");
  *part = (struct iovec){payload, size * (size_t)segments};
  header->msg_name = to;
  header->msg_namelen = sizeof *to;
  header->msg_iov = part;
  header->msg_iovlen = 1;
  outbox_datagrams += segments;
  if (segments == 1) return;
  header->msg_controllen = CMSG_SPACE(sizeof(uint16_t));
  header->msg_control = calloc(1, header->msg_controllen);
  check(header->msg_control != NULL, "calloc");
  struct cmsghdr *control = CMSG_FIRSTHDR(header);
  control->cmsg_level = IPPROTO_UDP;
  control->cmsg_type = UDP_SEGMENT;
  control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  uint16_t segment = (uint16_t)size;
  memcpy(CMSG_DATA(control), &segment, sizeof segment);
}

/* Makes the messages of one batch, with zeros or with the text of `fill` in them. They are sent again and again. */
static void fill_outbox(void) {
  static struct sockaddr_in peers[most_sockets];
  int peer_count = 0;
  char *list = strdup(text("to", ""));
  for (char *port = strtok(list, ","); port && peer_count < most_sockets; port = strtok(NULL, ",")) {
    peers[peer_count++] = address_of(atoi(port));
  }
  check(peer_count > 0, "to=");
  long batch = number("batch", 1024), size = number("size", 64);
  int turns = (int)((batch + peer_count - 1) / peer_count);
  char *payload = calloc(1, most_payload + 1);
  outbox = calloc((size_t)(turns * peer_count), sizeof *outbox);
  check(payload && outbox, "calloc");
  const char *fill = text("fill", "");
  size_t fill_length = strlen(fill);
  for (size_t at = 0; fill_length > 0 && at < most_payload; at++) payload[at] = fill[at % fill_length];
  if (number("offload", 0) != 0) {
    int most = (int)(most_payload / size < most_segments ? most_payload / size : most_segments);
    for (int peer = 0; peer < peer_count; peer++) {
      for (int left = turns; left > 0; left -= most) {
        add_message(&peers[peer], payload, (size_t)size, left < most ? left : most);
      }
    }
    return;
  }
  int grouped = strcmp(text("order", "turns"), "turns") != 0;
  for (int index = 0; index < turns * peer_count; index++) {
    add_message(&peers[grouped ? index / turns : index % peer_count], payload, (size_t)size, 1);
  }
}

static void send_batch(int fd) {
  for (int done = 0; done < outbox_count;) {
    int left = outbox_count - done;
    int sent = sendmmsg(fd, outbox + done, left < most_messages ? (unsigned)left : most_messages, 0);
    if (sent < 0 && errno == EINTR) continue;
    check(sent > 0, "sendmmsg");
    done += sent;
  }
}

static void sleep_until(double at) {
  struct timespec time = {(time_t)at, (long)((at - (double)(time_t)at) * 1e9)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) continue;
}

/*
 * Sends a batch every `everyUs`, and `hurry` times as often in the warm-up; without `everyUs`, as fast as it can. Batches that
 * are late because other work had the CPU are not made up for: they would be a flood.
 */
static void send_role(void) {
  double least = seconds_of("warmUpMs") + seconds_of("windowMs") + seconds_of("tailMs");
  double every = (double)number("everyUs", 0) / 1e6, hurry = (double)number("hurry", 1);
  int fd = bound(NULL);
  fill_outbox();
  struct window window = new_window();
  double began = now(), next = began;
  long total = 0;
  while (look(&window, total) - began < least || window.seconds == 0) {
    send_batch(fd);
    total += outbox_datagrams;
    if (every == 0) continue;
    next += window.start == 0 ? every / hurry : every;
    if (next < now()) next = now();
    else sleep_until(next);
  }
  tell_window(&window);
  printf(",\"total\":%ld}\n", total);
}

/* ---- round trips ---- */

static void echo_role(void) {
  sockets[0] = bound(&ports[0]);
  tell_ports(1);
  static char buffer[65536];
  for (;;) {
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    ssize_t size = recvfrom(sockets[0], buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length);
    check(size >= 0, "recvfrom");
    check(sendto(sockets[0], buffer, (size_t)size, 0, (struct sockaddr *)&from, length) == size, "sendto");
  }
}

static int ascending(const void *one, const void *other) {
  double a = *(const double *)one, b = *(const double *)other;
  return (a > b) - (a < b);
}

static void client_role(void) {
  int fd = bound(NULL);
  long count = number("count", 1), size = number("size", 64);
  struct sockaddr_in to = address_of(atoi(text("to", "0")));
  static char buffer[65536];
  double *times = calloc((size_t)count, sizeof *times);
  check(times != NULL, "calloc");
  for (long index = -(count / 5); index < count; index++) {
    double started = now();
    check(sendto(fd, buffer, (size_t)size, 0, (struct sockaddr *)&to, sizeof to) == size, "sendto");
    check(recvfrom(fd, buffer, sizeof buffer, 0, NULL, NULL) == size, "recvfrom");
    if (index >= 0) times[index] = (now() - started) * 1e6;
  }
  qsort(times, (size_t)count, sizeof *times, ascending);
  printf("{\"p50\":%f,\"p99\":%f}\n", times[count / 2], times[count * 99 / 100]);
}

/* Holds sockets that nobody reads. They accept merged datagrams, so that only the sender is measured. */
static void park_role(void) {
  int socket_count = (int)number("sockets", 1), on = 1;
  check(socket_count <= most_sockets, "sockets=");
  for (int index = 0; index < socket_count; index++) {
    sockets[index] = bound(&ports[index]);
    check(setsockopt(sockets[index], IPPROTO_UDP, UDP_GRO, &on, sizeof on) == 0, "UDP_GRO");
  }
  tell_ports(socket_count);
  while (getchar() != EOF) continue;
}

/* ---- shared by the roles ---- */

static const char *text(const char *name, const char *otherwise) {
  size_t length = strlen(name);
  for (int index = 0; index < setting_count; index++) {
    if (strncmp(settings[index], name, length) == 0 && settings[index][length] == '=') return settings[index] + length + 1;
  }
  return otherwise;
}

static long number(const char *name, long otherwise) {
  const char *value = text(name, NULL);
  return value ? atol(value) : otherwise;
}

/* A setting in milliseconds, as seconds. */
static double seconds_of(const char *name) { return (double)number(name, 0) / 1e3; }

static int bound(int *port) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = (int)number("buffer", 4 << 20);
  check(fd >= 0, "socket");
  check(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) == 0, "SO_RCVBUF");
  check(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0, "SO_SNDBUF");
  struct sockaddr_in address = address_of(0);
  socklen_t length = sizeof address;
  check(bind(fd, (struct sockaddr *)&address, length) == 0, "bind");
  check(getsockname(fd, (struct sockaddr *)&address, &length) == 0, "getsockname");
  if (port) *port = ntohs(address.sin_port);
  return fd;
}

static void tell_ports(int count) {
  printf("{\"ports\":[");
  for (int index = 0; index < count; index++) printf("%s%d", index > 0 ? "," : "", ports[index]);
  printf("]}\n");
  fflush(stdout);
}

static struct sockaddr_in address_of(int port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static double seconds_on(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double now(void) { return seconds_on(CLOCK_MONOTONIC); }

/* One number from a file with a line of numbers. */
static long proc(const char *name, int field) {
  long value = 0;
  FILE *file = fopen(name, "r");
  check(file != NULL, name);
  for (int index = 0; index <= field; index++) check(fscanf(file, "%ld", &value) == 1, name);
  fclose(file);
  return value;
}

static void check(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}
