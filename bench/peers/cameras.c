/*
 * Plays many cameras that send pictures as messages (docs/wire.md), each from a socket of its own. The datagrams of one picture come
 * from a file: this package's own sender made them. For each picture, the program writes the number of the camera and of the picture
 * into the first 8 bytes, and a new id. A CRC is linear, so the new CRCs are those of the file, each XORed with the same few
 * table entries: a picture costs little more than its send.
 *
 * Arguments: frames=<file of datagrams, one after another> chunks= parities= messageBytes= to=<port> peers= everyUs= beginMs=
 * lossPpm=<datagrams of a million that are left out> seed= reliable=<0 or 1> offload=<0 or 1>
 * After SIGUSR1 it prints what happened until then, as JSON. It ends with its standard input.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  header_bytes = 20,
  payload_at = header_bytes,
  most_frames = 64, /* in one send: the limit of kernels before 6.9 */
  most_peers = 4096,
  picture_number_bytes = 8,
  kind_report = 2,
  kind_probe = 6,
  kind_probe_ack = 7,
  /* A camera reads the reports this long after it has sent, and sends again what they say is missing. */
  look_us = 20000,
  most_doublings = 4,
  most_looks = 64 * most_peers,
  longest_seconds = 7200,
};

struct camera {
  int fd;
  uint32_t id, number, crc;
  uint64_t missing; /* chunks of the last picture, one bit each, that are not reported */
  uint8_t attempt;
  int has_report;
  int looks; /* before it sends again */
};

/* What a change of the bytes at one place does to a CRC: an entry for each value of each byte. */
struct shift {
  uint32_t of[picture_number_bytes][256];
};

static struct {
  long pictures, not_whole, frames, left_out, refused;
  double most_late;
} count;

static struct camera cameras[most_peers];
static struct {
  double at;
  int camera;
  uint32_t id;
} looks[most_looks];
static size_t looks_begin, looks_end;

static uint8_t *frames;
static uint32_t frame_crcs[most_frames];
static uint32_t message_crc;
static int frame_bytes, chunk_count, frame_count;
/* The first bytes of the first parity in the file. */
static uint8_t parity_number[picture_number_bytes];
static struct shift message_number, frame_number, frame_id, frame_crc, frame_attempt;
static uint32_t crc_table[256];
static uint64_t random_state;
static struct sockaddr_in desk;
static volatile sig_atomic_t is_asked;
static int argument_count;
static char **arguments;
static int is_reliable, has_offload;
static uint32_t loss_ppm;

static const char *text(const char *name);
static long number(const char *name);
static double now(void);
static void check(int ok, const char *what);
static void require(int ok, const char *what);
static void sleep_until(double at);

/* ---- CRC-32 of zlib ---- */

static void make_crc_table(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xEDB88320U ^ (crc >> 1) : crc >> 1;
    crc_table[byte] = crc;
  }
}

static uint32_t crc_step(uint32_t crc, uint8_t byte) { return crc_table[(crc ^ byte) & 0xFF] ^ (crc >> 8); }

static uint32_t crc_of(const uint8_t *bytes, size_t length) {
  uint32_t crc = 0xFFFFFFFFU;
  for (size_t at = 0; at < length; at++) crc = crc_step(crc, bytes[at]);
  return ~crc;
}

/* For `width` bytes at `at` of `length`. */
static void make_shift(struct shift *shift, int at, int width, int length) {
  for (int byte = 0; byte < width; byte++) {
    for (int bit = 0; bit < 8; bit++) {
      uint32_t crc = crc_step(0, (uint8_t)(1 << bit));
      for (int after = at + byte + 1; after < length; after++) crc = crc_step(crc, 0);
      for (int value = 0; value < 256; value++) {
        if (value >> bit & 1) shift->of[byte][value] ^= crc;
      }
    }
  }
}

static uint32_t shifted(const struct shift *shift, const uint8_t *bytes, int width) {
  uint32_t crc = 0;
  for (int byte = 0; byte < width; byte++) crc ^= shift->of[byte][bytes[byte]];
  return crc;
}

/* ---- frames ---- */

static uint32_t read32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t read16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }

static void write32(uint8_t *at, uint32_t value) {
  for (int byte = 0; byte < 4; byte++) at[byte] = (uint8_t)(value >> (24 - 8 * byte));
}

static uint8_t *frame_at(int index) { return frames + (size_t)index * (size_t)frame_bytes; }

static void read_frames(void) {
  FILE *file = fopen(text("frames"), "rb");
  check(file != NULL, "frames=");
  chunk_count = (int)number("chunks");
  frame_count = chunk_count + (int)number("parities");
  require(chunk_count > 0 && frame_count >= chunk_count && frame_count <= most_frames, "chunks= and parities= are 1 to 64 datagrams");
  frames = malloc(65536);
  check(frames != NULL, "malloc");
  size_t bytes = fread(frames, 1, 65536, file);
  fclose(file);
  frame_bytes = (int)(bytes / (size_t)frame_count);
  require(frame_bytes >= payload_at + picture_number_bytes + 4, "frames=: datagrams are missing");
  int sealed = frame_bytes - 4, message_bytes = (int)number("messageBytes");
  make_shift(&message_number, 0, picture_number_bytes, message_bytes);
  make_shift(&frame_number, payload_at, picture_number_bytes, sealed);
  make_shift(&frame_id, 4, 4, sealed);
  make_shift(&frame_crc, 16, 4, sealed);
  make_shift(&frame_attempt, 3, 1, sealed);
  message_crc = read32(frames + 16);
  if (frame_count > chunk_count) memcpy(parity_number, frame_at(chunk_count) + payload_at, sizeof parity_number);
  /* From now on the frames have id 0 and CRC 0, and frame_crcs has their checksums. */
  for (int index = 0; index < frame_count; index++) {
    uint8_t *frame = frame_at(index);
    require(crc_of(frame, (size_t)sealed) == read32(frame + sealed), "frames=: a checksum is wrong");
    write32(frame + 4, 0);
    write32(frame + 16, 0);
    frame_crcs[index] = crc_of(frame, (size_t)sealed);
  }
}

/* Makes the frames those of a picture. The picture in the file has zeros in place of its number. */
static void patch(const struct camera *camera, int which) {
  uint8_t number_bytes[picture_number_bytes], id[4], crc[4];
  write32(number_bytes, (uint32_t)which);
  write32(number_bytes + 4, camera->number);
  write32(id, camera->id);
  write32(crc, camera->crc);
  uint32_t same = shifted(&frame_id, id, 4) ^ shifted(&frame_crc, crc, 4);
  uint32_t of_number = shifted(&frame_number, number_bytes, picture_number_bytes);
  for (int index = 0; index < frame_count; index++) {
    uint8_t *frame = frame_at(index);
    memcpy(frame + 4, id, 4);
    memcpy(frame + 16, crc, 4);
    /* The first parity covers the first chunk. */
    int has_number = index == 0 || index == chunk_count;
    for (int byte = 0; has_number && byte < picture_number_bytes; byte++)
      frame[payload_at + byte] = number_bytes[byte] ^ (index == 0 ? 0 : parity_number[byte]);
    write32(frame + frame_bytes - 4, frame_crcs[index] ^ same ^ (has_number ? of_number : 0));
  }
}

/* ---- sending ---- */

/* xorshift64* */
static int is_lost(void) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return (uint32_t)((random_state * 2685821657736338717ULL) >> 33) % 1000000 < loss_ppm;
}

/* Sends the frames whose bits are set, but those that are lost. */
static void send_frames(const struct camera *camera, uint64_t which) {
  static struct iovec parts[most_frames];
  static struct mmsghdr each[most_frames];
  size_t kept = 0;
  for (int index = 0; index < frame_count; index++) {
    if (!(which >> index & 1)) continue;
    count.frames++;
    if (is_lost()) count.left_out++;
    else parts[kept++] = (struct iovec){frame_at(index), (size_t)frame_bytes};
  }
  if (kept == 0) return;
  if (!has_offload) {
    for (size_t index = 0; index < kept; index++)
      each[index].msg_hdr = (struct msghdr){.msg_iov = &parts[index], .msg_iovlen = 1};
    int sent = sendmmsg(camera->fd, each, (unsigned)kept, MSG_DONTWAIT);
    if (sent < (int)kept) count.refused += (long)kept - (sent > 0 ? sent : 0);
    return;
  }
  union {
    char bytes[CMSG_SPACE(sizeof(uint16_t))];
    struct cmsghdr align;
  } control = {0};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = kept, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  struct cmsghdr *segment = CMSG_FIRSTHDR(&message);
  *segment = (struct cmsghdr){.cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof(uint16_t))};
  uint16_t size = (uint16_t)frame_bytes;
  memcpy(CMSG_DATA(segment), &size, sizeof size);
  if (sendmsg(camera->fd, &message, MSG_DONTWAIT) < 0) count.refused += (long)kept;
}

static uint64_t first_bits(int bits) { return bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1; }

static void look_later(int which) {
  require(looks_end - looks_begin < most_looks, "too many pictures wait for reports");
  looks[looks_end % most_looks].at = now() + look_us / 1e6;
  looks[looks_end % most_looks].camera = which;
  looks[looks_end++ % most_looks].id = cameras[which].id;
}

static void send_picture(int which) {
  struct camera *camera = &cameras[which];
  if (camera->number > 0 && camera->missing != 0) count.not_whole++;
  camera->id++;
  camera->number++;
  uint8_t number_bytes[picture_number_bytes];
  write32(number_bytes, (uint32_t)which);
  write32(number_bytes + 4, camera->number);
  camera->crc = message_crc ^ shifted(&message_number, number_bytes, picture_number_bytes);
  camera->missing = first_bits(chunk_count);
  camera->attempt = 0;
  camera->has_report = 0;
  camera->looks = 0;
  patch(camera, which);
  send_frames(camera, first_bits(frame_count));
  count.pictures++;
  look_later(which);
}

/* Sends what is not reported, or the last chunk if there was no report. */
static void send_again(int which) {
  struct camera *camera = &cameras[which];
  uint64_t again = camera->has_report ? camera->missing : UINT64_C(1) << (chunk_count - 1);
  int last = 63 - __builtin_clzll(again);
  camera->attempt++;
  patch(camera, which);
  for (int index = 0; index <= last; index++) {
    uint8_t *frame = frame_at(index);
    uint32_t crc = read32(frame + frame_bytes - 4);
    frame[3] = camera->attempt;
    write32(frame + frame_bytes - 4, crc ^ shifted(&frame_attempt, frame + 3, 1));
  }
  send_frames(camera, again);
  for (int index = 0; index <= last; index++) frame_at(index)[3] = 0;
}

/* ---- receiving ---- */

static void reported(struct camera *camera, const uint8_t *report, ssize_t length) {
  if (length < 32 || read32(report + 4) != camera->id || camera->missing == 0) return;
  int upto = (int)read16(report + 20);
  uint64_t missing = first_bits(chunk_count) & ~first_bits(upto);
  for (ssize_t at = 28; at + 4 <= length - 4; at += 4) {
    int start = (int)read16(report + at), run = (int)read16(report + at + 2);
    if (run > 0 && start + run <= chunk_count) missing |= first_bits(run) << start;
  }
  camera->has_report = 1;
  camera->missing &= missing;
}

static void read_answers(struct camera *camera) {
  uint8_t answer[2048];
  for (;;) {
    ssize_t length = recv(camera->fd, answer, sizeof answer, MSG_DONTWAIT);
    if (length < 0) return;
    if (length < 24) continue;
    int kind = answer[1] & 0x0F;
    if (kind == kind_report) reported(camera, answer, length);
    if (kind != kind_probe) continue;
    answer[1] = kind_probe_ack;
    write32(answer + length - 4, crc_of(answer, (size_t)length - 4));
    if (send(camera->fd, answer, (size_t)length, MSG_DONTWAIT) < 0) count.refused++;
  }
}

static void look(void) {
  int which = looks[looks_begin % most_looks].camera;
  uint32_t id = looks[looks_begin++ % most_looks].id;
  struct camera *camera = &cameras[which];
  read_answers(camera);
  if (!is_reliable || camera->id != id || camera->missing == 0) return;
  look_later(which);
  if (camera->looks-- > 0) return;
  /* A receiver that cannot keep up needs less, not more: each time the camera waits twice as long. */
  send_again(which);
  camera->looks = (1 << (camera->attempt < most_doublings ? camera->attempt : most_doublings)) - 1;
}

/* ---- the pictures of all cameras ---- */

static void tell(void) {
  is_asked = 0;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("{\"pictures\":%ld,\"notWhole\":%ld,\"frames\":%ld,\"leftOut\":%ld,\"refused\":%ld,"
         "\"mostLateMs\":%f,\"cpuSeconds\":%f,\"seconds\":%f}\n",
         count.pictures, count.not_whole, count.frames, count.left_out, count.refused, count.most_late * 1e3,
         (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
         now());
  fflush(stdout);
  count.most_late = 0;
}

static void asked(int signal) {
  (void)signal;
  is_asked = 1;
}

static int has_ended(void) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&input, 1, 0) > 0;
}

/* Does all that is due before `at`, and sleeps until then. */
static void wait_until(double at) {
  while (looks_begin < looks_end && looks[looks_begin % most_looks].at <= at) {
    sleep_until(looks[looks_begin % most_looks].at);
    look();
  }
  sleep_until(at);
}

static void open_cameras(int peers) {
  struct rlimit files = {(rlim_t)peers + 64, (rlim_t)peers + 64};
  struct rlimit allowed;
  getrlimit(RLIMIT_NOFILE, &allowed);
  if (allowed.rlim_cur < files.rlim_cur) check(setrlimit(RLIMIT_NOFILE, &files) == 0, "the limit of open files (ulimit -n)");
  desk = (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons((uint16_t)number("to")), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int which = 0; which < peers; which++) {
    cameras[which].fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(cameras[which].fd >= 0, "socket");
    check(connect(cameras[which].fd, (struct sockaddr *)&desk, sizeof desk) == 0, "connect");
    /* Spread, as random numbers are. */
    cameras[which].id = (uint32_t)which * 0x9E3779B1U;
  }
}

int main(int argc, char **argv) {
  argument_count = argc - 1;
  arguments = argv + 1;
  alarm(longest_seconds);
  signal(SIGUSR1, asked);
  make_crc_table();
  read_frames();
  int peers = (int)number("peers");
  require(peers > 0 && peers <= most_peers, "peers= is 1 to 4096");
  open_cameras(peers);
  is_reliable = number("reliable") != 0;
  has_offload = number("offload") != 0;
  loss_ppm = (uint32_t)number("lossPpm");
  random_state = (uint64_t)number("seed") * 0x9E3779B97F4A7C15ULL + 1;
  double every = (double)number("everyUs") / 1e6, begin = (double)number("beginMs") / 1e3, began = now();
  /* The pictures are evenly spread, and one camera after another begins. */
  for (long round = 0; !has_ended(); round++) {
    for (int which = 0; which < peers; which++) {
      if ((double)round * every < begin * which / peers) continue;
      double due = began + (double)round * every + every * which / peers;
      wait_until(due);
      if (is_asked) tell();
      double late = now() - due;
      if (late > count.most_late) count.most_late = late;
      send_picture(which);
    }
  }
  return 0;
}

/* ---- shared ---- */

static const char *text(const char *name) {
  size_t length = strlen(name);
  for (int index = 0; index < argument_count; index++) {
    if (strncmp(arguments[index], name, length) == 0 && arguments[index][length] == '=') return arguments[index] + length + 1;
  }
  fprintf(stderr, "%s= is missing\n", name);
  exit(1);
}

static long number(const char *name) { return atol(text(name)); }

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void sleep_until(double at) {
  struct timespec time = {(time_t)at, (long)((at - (double)(time_t)at) * 1e9)};
  while (at > now() && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) {
    if (is_asked) tell();
  }
}

/* For system calls. */
static void check(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "cameras: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void require(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "cameras: %s\n", what);
  exit(1);
}
