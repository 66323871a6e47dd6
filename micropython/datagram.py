"""Messages of any size over UDP, for MicroPython and CPython: docs/wire.md of the package "datagram", on a device.

Times are milliseconds. An address is what getaddrinfo returns: socket.getaddrinfo("192.168.1.10", 9000)[0][-1].
"""

import errno
import time
from binascii import crc32
from collections import OrderedDict, namedtuple
from struct import pack, pack_into, unpack

try:
    from time import ticks_diff, ticks_ms
except ImportError:  # CPython
    ticks_ms, ticks_diff = lambda: int(time.monotonic() * 1000), lambda a, b: a - b
try:
    from os import urandom
except ImportError:  # MicroPython's WebAssembly port
    from random import getrandbits

    urandom = lambda n: bytes([(getrandbits(8) + ticks_ms() // 7) & 255 for _ in range(n)])

HEAD = ">BBBBIHHII"
DATA, REPORT, PARITY, REQUEST, REPLY, PROBE, PROBE_ACK = range(1, 8)
NOW, FLEETING, FAILED = 0x10, 0x20, 0x20
KNOWN = (0, 0x70, 0x10, 0x70, 0x10, 0x30, 0, 0)  # the flags of each kind
IDLE = (errno.ETIMEDOUT, errno.EAGAIN, errno.ECONNREFUSED, "timed out")  # CPython's timeout has no number
FULL = (errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN)  # a board has no memory, or no room in its queue
Frame = namedtuple("Frame", "kind flags channel attempt id index size length crc body")


def parse(d):
    """The frame of a datagram, whose body is the payload or what a report says; None if it is refused."""
    if len(d) < 24 or d[0] != 13 or crc32(d[:-4]) != unpack(">I", d[-4:])[0]:
        return None
    _, first, channel, attempt, id, index, size, length, crc = unpack(HEAD, d[:20])
    kind, flags, body, n = first & 15, first & 0xF0, d[20:-4], count(length, size)
    if not 1 <= kind <= 7 or flags & ~KNOWN[kind] or flags & 0x60 == 0x60:
        return None
    if kind >= PROBE:
        good = not any((channel, attempt, index, size, length, crc, body))
    elif not 1 <= n <= 0xFFFF:
        good = False
    elif kind == REPORT:
        body = good = parse_report(body, index, n, length)
    else:
        last = attempt if kind == PARITY else n
        good = index < last <= n and len(body) == min(size, length - index * size)
    return Frame(kind, flags, channel, attempt, id, index, size, length, crc, body) if good else None


def parse_report(d, index, n, length):
    """The body of a report: upto, credit, echo, delay, runs of missing chunks, limit; None if it is refused."""
    if len(d) < 8 or len(d) % 4:
        return None
    upto, credit, echo, delay = unpack(">HHHH", d[:8])
    runs = [unpack(">HH", d[at : at + 4]) for at in range(8, len(d), 4)]
    if upto > n or n <= echo < 0xFFFF:
        return None
    if not credit:
        limit = unpack(">I", d[8:])[0] if len(d) == 12 else length
        return None if upto or index or limit >= length else (0, 0, echo, delay, [], limit)
    end = -1
    for start, many in runs:
        if not many or start <= end or start + many > upto:
            return None
        end = start + many
    return (upto, credit, echo, delay, runs, 0) if index == (runs[0][0] if runs else upto) else None


def seal(frame):
    return frame + pack(">I", crc32(frame))


def count(length, size):
    return max(1, (length + size - 1) // size) if size else 0


def since(start):
    return ticks_diff(ticks_ms(), start)


class Messages:
    """Messages over a UDP socket, for one thread. No message longer than `longest` bytes arrives."""

    def __init__(self, sock, size=1200, longest=32768, credit=3):
        self.sock, self.size, self.longest, self.credit = sock, size, longest, credit
        self.id, self.wait = unpack(">I", urandom(4))[0], 300
        self.buffer = memoryview(bytearray(24 + size))  # for each chunk that leaves
        self.partials, self.done, self.inbox = OrderedDict(), [], []
        self.room = OrderedDict()  # how many bytes of replies each of the last 8 addresses may get
        self.out = self.report = self.asked = self.reply = self.token = None

    def send(self, data, to, channel=0, fleeting=False, deadline=0, timeout=10000):
        """Sends bytes, without a copy of them. If fleeting, nothing is sent again, and the receiver waits for the deadline.

        OSError ETIMEDOUT if the receiver reports nothing new for the timeout, EMSGSIZE if it takes no message of this length.
        """
        if not fleeting:
            return self._deliver(DATA, channel, self._next(), data, to, timeout)
        data, id = memoryview(data), self._next()
        for index in range(count(len(data), self.size)):
            self._chunk(DATA | FLEETING, channel, deadline // 10, id, index, data, crc32(data), to)

    def recv(self, timeout=None):
        """Waits for (data, source, channel, id), where id is None unless it is a request. None after the timeout."""
        return self.inbox.pop(0) if self._until(lambda: self.inbox, timeout) else None

    def request(self, data, to, channel=0, timeout=10000):
        """Sends a request, and returns the reply. OSError ETIMEDOUT; RuntimeError if the handler failed, with the reason if it is told."""
        self.asked, self.reply, start = (to, self._next()), None, ticks_ms()
        try:
            while not self.reply:  # if it comes again, the other side may send more of the reply
                left = timeout - since(start)
                if left <= 0:
                    raise OSError(errno.ETIMEDOUT)
                self._deliver(REQUEST, channel, self.id, data, to, left)
                self._until(lambda: self.reply, min(1000, left))
        finally:
            self.asked = None
        flags, reply = self.reply
        if flags & FAILED:
            raise RuntimeError(str(reply, "utf-8"))
        return reply

    def serve(self, handler, timeout=None):
        """Answers each request with handler(data, source), until none comes for the timeout. Drops other messages."""
        while self._until(lambda: self.inbox, timeout):
            data, source, channel, id = self.recv()
            if id is None:
                continue
            try:
                reply, kind = handler(data, source), REPLY
            except Exception as error:
                reply, kind = str(error).encode(), REPLY | FAILED
            try:
                self._deliver(kind, channel, id, reply, source, 10000)
            except OSError as error:  # the requester is gone
                if error.args[0] not in IDLE and error.args[0] != errno.EMSGSIZE:
                    raise

    def _next(self):
        self.id = (self.id + 1) & 0xFFFFFFFF
        return self.id

    def _until(self, ready, ms):
        """Reads until ready() is true. Returns what it is after at most this time."""
        start = ticks_ms()
        while not ready() and (ms is None or since(start) < ms):
            self._read(1000 if ms is None else max(1, ms - since(start)))
        return ready()

    def _deliver(self, first, channel, id, data, to, timeout):
        """Sends bursts of chunks. After each, waits for the report of its last chunk."""
        data = memoryview(data)
        n, crc = count(len(data), self.size), crc32(data)
        self.out, self.report = (to, id, self.size, len(data), crc), None
        progress, wait = ticks_ms(), self.wait
        missing, window, room, sent, known, turn, attempt = [(0, n)], 4, 4, 0, 0, 0, 0
        while since(progress) <= timeout:
            burst = []
            for start, many in missing:
                burst.extend(range(start, start + min(many, room - len(burst))))
            may = first & 15 != REPLY or self._prove(to, len(burst) * (24 + min(len(data), self.size)))
            turn, at, heard = turn % 255 + 1, ticks_ms(), False
            for index in burst if may else ():
                attempt, now = turn if index < sent else 0, NOW if index == burst[-1] else 0
                self._chunk(first | now, channel, attempt, id, index, data, crc, to)
                sent = max(sent, index + 1)
            while not heard and self._until(lambda: self.report or self.reply and first == REQUEST, wait - since(at)):
                report, self.report = self.report, None
                if not report or report.index == n:
                    return
                upto, credit, echo, delay, runs, limit = report.body
                if not credit:
                    raise OSError(errno.EMSGSIZE, "the receiver takes at most %d bytes" % limit)
                missing = runs + [(upto, n - upto)]
                heard = (echo, report.attempt) == (burst[-1], attempt)
            arrived = n - sum([many for _, many in missing])
            if heard and delay < 0xFFFF:
                self.wait = (self.wait + 3 * (since(at) - delay // 8) + 20) // 2
            if arrived > known:
                known, progress, wait = arrived, ticks_ms(), self.wait
            elif not heard:
                wait = min(wait * 3 // 2, 2000)
            window = min(window + 2, 64) if heard and len(missing) == 1 else max(window // 2, 2)
            room = min(window, credit) if heard else 2
        raise OSError(errno.ETIMEDOUT, "%d of %d chunks arrived" % (known, n))

    def _chunk(self, first, channel, attempt, id, index, data, crc, to):
        part = data[index * self.size : (index + 1) * self.size]
        end = 20 + len(part)
        pack_into(HEAD, self.buffer, 0, 13, first, channel, attempt, id, index, self.size, len(data), crc)
        self.buffer[20:end] = part
        pack_into(">I", self.buffer, end, crc32(self.buffer[:end]))
        self._out(self.buffer[: end + 4], to)

    def _out(self, datagram, to):
        if to in self.room:
            self.room[to] = max(0, self.room[to] - len(datagram))
        for wait in (1, 5, 25, 100, None):
            try:
                return self.sock.sendto(datagram, to)
            except OSError as error:
                if wait is None or error.args[0] not in FULL:
                    raise
                time.sleep(wait / 1000)

    def _prove(self, to, many):
        """Whether so many bytes of a reply may leave. Until then, asks the address to prove that it receives: it may be forged."""
        ready, start = lambda: self.report or self.room.get(to, 0) >= many, ticks_ms()
        self.token = (to, unpack(">I", urandom(4))[0])
        while not ready() and since(start) < 10000:
            if self.room.get(to, 0) >= 24:
                self._out(seal(pack(HEAD, 13, PROBE, 0, 0, self.token[1], 0, 0, 0, 0)), to)
            self._until(ready, 200)
        self.token = None
        return not self.report and ready()

    def _read(self, ms):
        """Takes one datagram, if one comes in time."""
        self.sock.settimeout(ms / 1000)
        try:
            datagram, source = self.sock.recvfrom(1520)
        except OSError as error:
            if error.args[0] not in IDLE:
                raise
            return
        f = parse(datagram)
        if f is None:
            return
        self.room[source] = self.room.pop(source, 0) + 3 * len(datagram)  # RFC 9000, section 8
        if len(self.room) > 8:
            del self.room[next(iter(self.room))]
        if f.kind == PROBE:
            self._out(seal(b"\x0d\x07" + datagram[2:-4]), source)
        elif f.kind == PROBE_ACK and (source, f.id) == self.token:
            self.room[source] = 1 << 29  # after so many bytes, it proves itself again
        elif f.kind == REPORT and self.out == (source, f.id, f.size, f.length, f.crc):
            self.report = f
        elif f.kind in (DATA, REQUEST, REPLY):
            self._arrived(f, source)

    def _arrived(self, f, source):
        key, n = (source, f.id, f.crc), count(f.length, f.size)
        if key in self.done:
            return self._report(f, source, n, n)
        if (self.asked != (source, f.id)) if f.kind == REPLY else len(self.inbox) >= 4:
            return  # nobody reads it now: its sender tries again
        if f.length > self.longest:
            return self._report(f, source, 0, 0, pack(">I", self.longest))
        if n > count(self.longest, 64):
            return  # small chunks take more memory than their bytes
        part = key + (f.size,)  # a sender may divide a message anew, into smaller chunks
        repaired, chunks = self.partials.pop(part, (False, {}))
        again = f.attempt > 0 and not (f.kind == DATA and f.flags & FLEETING)
        after_gap = f.index > 0 and f.index - 1 not in chunks
        chunks[f.index] = f.body
        if len(chunks) < n:
            if len(self.partials) > 1:  # the one that waits the longest makes room
                del self.partials[next(iter(self.partials))]
            self.partials[part] = (repaired or again, chunks)
            if f.flags & NOW or after_gap or again or len(chunks) % 16 == 0:
                self._report_gap(f, source, chunks)
            return
        data = b"".join([chunks[i] for i in range(n)])
        if crc32(data) != f.crc:
            return
        self.done = self.done[-63:] + [key]
        for _ in range(1 + (repaired or again)):
            self._report(f, source, n, n)
        if f.kind == REPLY:
            self.reply = (f.flags, data)
        else:
            self.inbox.append((data, source, f.channel, f.id if f.kind == REQUEST else None))

    def _report_gap(self, f, to, chunks):
        """Reports the first gap alone, so that a report is short: the address may be forged."""
        top = max(chunks) + 1
        first = next(i for i in range(top + 1) if i not in chunks)
        end = next(i for i in range(first, top + 1) if i in chunks or i == top)
        upto = next(i for i in range(end, top + 1) if i not in chunks)
        gap = pack(">HH", first, end - first) if end > first else b""
        self._report(f, to, first, upto, gap, NOW if upto < top else 0)

    def _report(self, f, to, first, upto, body=b"", cut=0):
        head = (13, REPORT | cut, f.channel, f.attempt, f.id, first, f.size, f.length, f.crc)
        self._out(seal(pack(HEAD + "HHHH", *head, upto, self.credit if upto else 0, f.index, 0) + body), to)
