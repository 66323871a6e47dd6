"""Messages of any size over UDP, for MicroPython and CPython: docs/wire.md of the package "datagram", on a device.

Times are milliseconds. An address is what getaddrinfo returns: socket.getaddrinfo("192.168.1.10", 9000)[0][-1].
"""

import errno
from binascii import crc32
from struct import pack, pack_into, unpack

try:
    from time import sleep_ms, ticks_diff, ticks_ms
except ImportError:  # CPython
    from time import monotonic, sleep

    ticks_ms, ticks_diff = lambda: int(monotonic() * 1000), lambda a, b: a - b
    sleep_ms = lambda ms: sleep(ms / 1000)
try:
    from os import urandom
except ImportError:
    from random import getrandbits

    urandom = lambda n: bytes([(getrandbits(8) + ticks_ms() // 7) & 255 for _ in range(n)])

HEAD = ">BBBBIHHII"
DATA, REPORT, PARITY, REQUEST, REPLY, PROBE, PROBE_ACK = range(1, 8)
NOW, FLEETING, FAILED = 0x10, 0x20, 0x20
KNOWN = (0, 0x70, 0x10, 0x70, 0x10, 0x30, 0, 0)  # the flags of each kind
NONE = 0xFFFF  # no echo, or a delay that is not known
IDLE = (errno.ETIMEDOUT, errno.EAGAIN, errno.ECONNREFUSED, "timed out")  # CPython's timeout has no number
FULL = (errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN)  # a board has no memory, or no room in its queue


def parse(d):
    """The fields of a frame: kind, flags, channel, attempt, id, index, size, length, crc; None if it is refused."""
    if len(d) < 24 or d[0] != 0x0D or crc32(d[:-4]) != unpack(">I", d[-4:])[0]:
        return None
    d = d[:-4]
    _, second, channel, attempt, id, index, size, length, crc = unpack(HEAD, d[:20])
    kind, flags = second & 15, second & 0xF0
    fields = (kind, flags, channel, attempt, id, index, size, length, crc)
    if not 1 <= kind <= 7 or flags & ~KNOWN[kind] or flags & 0x60 == 0x60:
        return None
    if kind >= PROBE:
        return None if len(d) != 20 or channel or attempt or any(fields[5:]) else fields
    n = count(length, size)
    if not 1 <= n <= 0xFFFF:
        return None
    if kind == REPORT:
        return fields if index <= n and parse_report(d, index, n, length) else None
    last = attempt if kind == PARITY else n
    return fields if index < last <= n and len(d) - 20 == min(size, length - index * size) else None


def parse_report(d, index, n, length):
    """The body of a report: upto, credit, echo, delay, runs of missing chunks, limit; None if it is refused."""
    if len(d) < 28 or len(d) % 4:
        return None
    upto, credit, echo, delay = unpack(">HHHH", d[20:28])
    if upto > n or (echo != NONE and echo >= n):
        return None
    if not credit:
        limit = unpack(">I", d[28:32])[0] if len(d) == 32 else length
        return None if upto or index or limit >= length else (upto, credit, echo, delay, [], limit)
    runs, end = [], -1
    for at in range(28, len(d), 4):
        start, many = unpack(">HH", d[at : at + 4])
        if not many or start <= end or start + many > upto:
            return None
        runs.append((start, many))
        end = start + many
    return (upto, credit, echo, delay, runs, 0) if index == (runs[0][0] if runs else upto) else None


def seal(frame):
    """A frame with its checksum."""
    return frame + pack(">I", crc32(frame))


def count(length, size):
    return max(1, (length + size - 1) // size) if size else 0


class Messages:
    """Messages over a UDP socket, for one thread. No message longer than `longest` bytes arrives."""

    def __init__(self, sock, size=1200, longest=32768, credit=3):
        self.sock, self.size, self.longest, self.credit = sock, size, longest, credit
        self.id = unpack(">I", urandom(4))[0]
        self.buffer = memoryview(bytearray(24 + size))  # for each chunk that leaves
        self.partials, self.done, self.inbox = {}, [], []
        self.out = self.report = self.asked = self.answer = self.proven = self.token = None
        self.rtt = None

    def send(self, data, to, channel=0, fleeting=False, deadline=0, timeout=10000):
        """Sends bytes, without a copy of them. If fleeting, nothing is sent again, and the receiver waits for the deadline.

        OSError ETIMEDOUT if the receiver reports nothing new for the timeout, EMSGSIZE if it takes no message of this length.
        """
        if not fleeting:
            return self._deliver(DATA, 0, channel, self._next(), data, to, timeout)
        data = memoryview(data)
        head = (channel, self._next(), len(data), crc32(data))
        for index in range(count(len(data), self.size)):
            self._chunk(DATA | FLEETING, head, data, to, index, deadline // 10)

    def recv(self, timeout=None):
        """Waits for (data, source, channel, id), where id is None unless it is a request. None after the timeout."""
        start = ticks_ms()
        while not self.inbox:
            left = 1000 if timeout is None else timeout - ticks_diff(ticks_ms(), start)
            if left <= 0:
                return None
            self._read(left)
        return self.inbox.pop(0)

    def request(self, data, to, channel=0, timeout=10000):
        """Sends a request, and returns the reply. OSError ETIMEDOUT; RuntimeError with the reason if the handler failed."""
        self.asked, self.answer, start = (to, self._next()), None, ticks_ms()
        try:
            self._deliver(REQUEST, 0, channel, self.id, data, to, timeout)
            while self.answer is None:
                left = timeout - ticks_diff(ticks_ms(), start)
                if left <= 0:
                    raise OSError(errno.ETIMEDOUT)
                self._read(left)
            flags, reply = self.answer
        finally:
            self.asked = self.answer = None
        if flags & FAILED:
            raise RuntimeError(str(reply, "utf-8"))
        return reply

    def serve(self, handler, timeout=None):
        """Answers each request with handler(data, source), until none comes for the timeout. Drops other messages."""
        while True:
            message = self.recv(timeout)
            if message is None:
                return
            data, source, channel, id = message
            if id is None:
                continue
            try:
                reply, flags = handler(data, source), 0
            except Exception as error:
                reply, flags = str(error).encode(), FAILED
            try:
                self._prove(source, len(reply) > 2 * len(data) + 20)
                self._deliver(REPLY, flags, channel, id, reply, source, 10000)
            except OSError as error:  # the requester is gone
                if error.args[0] not in IDLE and error.args[0] != errno.EMSGSIZE:
                    raise

    def _next(self):
        self.id = (self.id + 1) & 0xFFFFFFFF
        return self.id

    def _deliver(self, kind, flags, channel, id, data, to, timeout):
        """Sends bursts of chunks. After each, waits for the report of its last chunk."""
        data = memoryview(data)
        head, n = (channel, id, len(data), crc32(data)), count(len(data), self.size)
        runs, upto, window, room, sent, known, turn = [], 0, 4, 4, 0, 0, 0
        wait, progress, self.out = self._wait(), ticks_ms(), (to, id, self.size, len(data), head[3])
        while True:
            burst = []
            for start, many in runs + [(upto, n - upto)]:
                burst.extend(range(start, start + min(many, room - len(burst))))
            turn, at, heard = turn % 255 + 1, ticks_ms(), False
            for index in burst:
                attempt = turn if index < sent else 0
                self._chunk(kind | flags | (NOW if index == burst[-1] else 0), head, data, to, index, attempt)
                sent = max(sent, index + 1)
            while not heard and ticks_diff(ticks_ms(), at) < wait:
                self.report = None
                self._read(max(1, wait - ticks_diff(ticks_ms(), at)))
                if kind == REQUEST and self.answer:
                    return
                if self.report is None:
                    continue
                first, echoed, (upto, credit, echo, delay, runs, limit) = self.report
                self.proven = to  # it knows the CRC
                heard = echo == burst[-1] and echoed == attempt
                if heard and delay != NONE:
                    trip = ticks_diff(ticks_ms(), at) - delay // 8
                    if self.rtt is None:
                        self.rtt, self.deviation = trip, trip // 2
                    self.deviation += (abs(trip - self.rtt) - self.deviation) // 4
                    self.rtt += (trip - self.rtt) // 8
                if first == n:
                    return
                if not credit:
                    raise OSError(errno.EMSGSIZE, "the receiver takes at most %d bytes" % limit)
            arrived = upto - sum([many for _, many in runs])
            if arrived > known:
                known, progress, wait = arrived, ticks_ms(), self._wait()
            elif not heard:
                wait = min(wait * 3 // 2, 2000)
            if ticks_diff(ticks_ms(), progress) > timeout:
                raise OSError(errno.ETIMEDOUT, "%d of %d chunks arrived" % (known, n))
            window = min(window + 2, 64) if heard and not runs else max(window // 2, 2)
            room = min(window, credit) if heard else 2

    def _wait(self):
        return 300 if self.rtt is None else self.rtt + 4 * self.deviation + 20

    def _chunk(self, first, head, data, to, index, attempt):
        channel, id, length, crc = head
        part = data[index * self.size : (index + 1) * self.size]
        pack_into(HEAD, self.buffer, 0, 13, first, channel, attempt, id, index, self.size, length, crc)
        end = 20 + len(part)
        self.buffer[20:end] = part
        pack_into(">I", self.buffer, end, crc32(self.buffer[:end]))
        self._out(self.buffer[: end + 4], to)

    def _out(self, datagram, to):
        for wait in (1, 5, 25, 100, None):
            try:
                return self.sock.sendto(datagram, to)
            except OSError as error:
                if wait is None or error.args[0] not in FULL:
                    raise
                sleep_ms(wait)

    def _prove(self, to, needed):
        """Before a long reply, asks the address to prove that it receives: the request may come from somebody else."""
        for wait in (50, 100, 200, 200, 400, 400, 800, 800, 800, 0):
            if self.proven == to or not needed:
                return
            self.token, start = self._next(), ticks_ms()
            self._out(seal(pack(HEAD, 13, PROBE, 0, 0, self.token, 0, 0, 0, 0)), to)
            while self.proven != to and ticks_diff(ticks_ms(), start) < wait:
                self._read(max(1, wait - ticks_diff(ticks_ms(), start)))
        raise OSError(errno.ETIMEDOUT)

    def _read(self, ms):
        """Takes one datagram, if one comes in time."""
        self.sock.settimeout(ms / 1000)
        try:
            datagram, source = self.sock.recvfrom(1520)
        except OSError as error:
            if error.args[0] not in IDLE:
                raise
            return
        fields = parse(datagram)
        if fields is None:
            return
        kind, _, _, attempt, id, index, size, length, crc = fields
        datagram = datagram[:-4]
        if kind == PROBE:
            self._out(seal(b"\x0d\x07" + datagram[2:]), source)
        elif kind == PROBE_ACK:
            self.proven = source if id == self.token else self.proven
        elif kind == REPORT and self.out == (source, id, size, length, crc):
            self.report = (index, attempt, parse_report(datagram, index, count(length, size), length))
        elif kind in (DATA, REQUEST, REPLY):
            self._arrived(fields, datagram, source)

    def _arrived(self, fields, datagram, source):
        kind, flags, channel, attempt, id, index, size, length, crc = fields
        key, n = (source, id, crc), count(length, size)
        if key in self.done:
            return self._report(source, fields, n, len(datagram))
        if (self.asked != (source, id)) if kind == REPLY else len(self.inbox) >= 4:
            return  # nobody reads it now: its sender tries again
        if length > self.longest:
            return self._report(source, fields, 0, 20)
        part = key + (size,)  # a sender may divide a message anew, into smaller chunks
        if part not in self.partials and len(self.partials) >= 2:  # the older one makes room
            del self.partials[min(self.partials, key=lambda k: ticks_diff(self.partials[k][0], ticks_ms()))]
        at, upto, repaired, chunks = self.partials.get(part, (0, 0, False, {}))
        again = attempt > 0 and not (kind == DATA and flags & FLEETING)
        chunks[index] = datagram[20:]
        if len(chunks) < n:
            self.partials[part] = (ticks_ms(), max(upto, index + 1), repaired or again, chunks)
            if flags & NOW or index > upto or again or len(chunks) % 16 == 0:
                self._report(source, fields, max(upto, index + 1), len(datagram), chunks)
            return
        self.partials.pop(part, None)
        data = b"".join([chunks[i] for i in range(n)])
        if crc32(data) != crc:
            return
        self.done = self.done[-63:] + [key]
        for _ in range(1 + (repaired or again)):
            self._report(source, fields, n, len(datagram))
        if kind == REPLY:
            self.answer = (flags, data)
        else:
            self.inbox.append((data, source, channel, id if kind == REQUEST else None))

    def _report(self, to, fields, upto, came, chunks=None):
        """Reports the chunks below upto, in at most three times the bytes that came: the address may be forged."""
        _, _, channel, attempt, id, echo, size, length, crc = fields
        runs, cut, end = [], 0, upto
        for i in range(upto if chunks else 0):
            if i in chunks:
                continue
            if runs and sum(runs[-1]) == i:
                runs[-1][1] += 1
            elif len(runs) < (3 * came - 32) // 4:
                runs.append([i, 1])
            else:
                cut, end = NOW, i
                break
        body = b"".join([pack(">HH", *run) for run in runs]) if upto else pack(">I", self.longest)
        head = (13, REPORT | cut, channel, attempt, id, runs[0][0] if runs else end, size, length, crc)
        self._out(seal(pack(HEAD + "HHHH", *head, end, self.credit if upto else 0, echo, 0) + body), to)
