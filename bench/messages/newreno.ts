/**
 * The peer that messages are compared with: a bulk transfer with NewReno's window (RFC 9002, section 7), and losses found by
 * time, as RACK finds them (RFC 8985). It has no pacing, and one transfer a socket.
 */
import type { Socket } from "datagram";

/** Bytes of a chunk, as messages have. */
const size = 1200;
const headerBytes = 20;
/** Acknowledge at least every second datagram, and after this time. */
const ackDelayMs = 5;
const initialWindow = 10;
const minWindow = 2;
/** The shortest retransmission timeout of Linux. */
const minTimeoutMs = 200;
const maxTimeoutMs = 60_000;
const initialTimeoutMs = 1000;
/** Runs of missing chunks in an acknowledgement. */
const maxRuns = 250;

/** What a transfer came to. */
export interface Transfer {
  readonly elapsedMs: number;
  readonly chunks: number;
  readonly resent: number;
}

/** Receives one transfer, and answers until the socket is closed. `received` is called when all bytes are there. */
export async function receiveNewReno(s: Socket, received: (data: Buffer) => void): Promise<void> {
  let data: Buffer | undefined;
  let has = new Uint8Array(0);
  let [count, upto, first, unacked] = [0, 0, 0, 0];
  let cancel: (() => void) | undefined;
  for await (const datagram of s) {
    const { data: bytes } = datagram;
    const [index, attempt, length] = [bytes.readUInt32BE(0), bytes.readUInt32BE(4), bytes.readUInt32BE(8)];
    if (!data) {
      data = Buffer.alloc(length);
      has = new Uint8Array(Math.ceil(length / size));
    }
    const gap = index !== upto;
    if (has[index] === 0) {
      has[index] = 1;
      count++;
      bytes.copy(data, index * size, headerBytes);
    }
    upto = Math.max(upto, index + 1);
    while (has[first] === 1) first++;
    const arrivedAt = s.clock.now();
    const ack = (): void => {
      cancel?.();
      cancel = undefined;
      unacked = 0;
      const runs: number[] = [];
      for (let at = first; at < upto && runs.length < 2 * maxRuns; at++) {
        if (has[at] === 1) continue;
        const start = at;
        while (at < upto && has[at] === 0) at++;
        runs.push(start, at);
      }
      const seen = runs.length === 2 * maxRuns ? (runs.at(-1) as number) : upto;
      const answer = Buffer.alloc(headerBytes + 4 * runs.length);
      answer.writeUInt32BE(index, 0);
      answer.writeUInt32BE(attempt, 4);
      answer.writeUInt32BE(seen, 8);
      answer.writeUInt32BE(Math.round((s.clock.now() - arrivedAt) * 1000), 12);
      for (const [at, value] of runs.entries()) answer.writeUInt32BE(value, headerBytes + 4 * at);
      s.sendto(answer, datagram.source).catch(() => undefined);
    };
    if (++unacked >= 2 || gap || count === has.length) ack();
    else cancel ??= s.clock.after(ackDelayMs, ack);
    if (count === has.length && data.length > 0) {
      received(data);
      count = Infinity;
    }
  }
}

/** Sends one transfer, and returns once it is acknowledged. */
export async function sendNewReno(s: Socket, data: Buffer, to: readonly [string, number]): Promise<Transfer> {
  const { clock } = s;
  const chunks = Math.ceil(data.length / size);
  const state = new Uint8Array(chunks); // 0 unsent, 1 under way, 2 acknowledged, 3 lost
  const attempts = new Uint32Array(chunks);
  const sentAt = new Float64Array(chunks);
  const start = clock.now();
  let [next, first, inFlight, acked, resent] = [0, 0, 0, 0, 0];
  let [window, threshold, recovery] = [initialWindow, Infinity, -Infinity];
  let [srtt, rttVar, minRtt] = [0, 0, Infinity];
  let [backoff, newestAt] = [0, -Infinity];
  let tailProbed = false;
  let cancel: (() => void) | undefined;
  const lost: number[] = [];

  const transmit = (index: number): void => {
    if (state[index] !== 0) {
      (attempts[index] as number)++;
      resent++;
    }
    if (state[index] !== 1) inFlight++;
    state[index] = 1;
    sentAt[index] = clock.now();
    const payload = data.subarray(index * size, (index + 1) * size);
    const bytes = Buffer.alloc(headerBytes + payload.length);
    bytes.writeUInt32BE(index, 0);
    bytes.writeUInt32BE(attempts[index] as number, 4);
    bytes.writeUInt32BE(data.length, 8);
    payload.copy(bytes, headerBytes);
    s.sendto(bytes, to).catch(() => undefined);
  };
  const pump = (): void => {
    while (inFlight < Math.floor(window)) {
      const index = lost.shift() ?? (next < chunks ? next++ : -1);
      if (index < 0) break;
      if (state[index] !== 2) transmit(index);
    }
    arm();
  };
  const arm = (): void => {
    cancel?.();
    const timeout = srtt === 0 ? initialTimeoutMs : Math.max(minTimeoutMs, srtt + 4 * rttVar);
    // A tail loss probe (RFC 8985, section 7), then timeouts.
    const wait =
      tailProbed || srtt === 0 ? Math.min(maxTimeoutMs, timeout * 2 ** backoff) : 2 * srtt + ackDelayMs;
    cancel = clock.after(wait, expired);
  };
  const expired = (): void => {
    if (!tailProbed && srtt > 0) {
      tailProbed = true;
      let last = next - 1;
      while (last > first && state[last] === 2) last--;
      if (state[last] === 3) lost.splice(lost.indexOf(last), 1);
      transmit(last);
      arm();
      return;
    }
    backoff++;
    threshold = Math.max(minWindow, window / 2);
    window = 1;
    recovery = clock.now();
    for (let index = first; index < next; index++) {
      if (state[index] !== 1) continue;
      state[index] = 3;
      inFlight--;
      lost.push(index);
    }
    lost.sort((a, b) => a - b);
    pump();
  };

  pump();
  for await (const { data: bytes } of s) {
    const now = clock.now();
    const echo = bytes.readUInt32BE(0);
    const upto = bytes.readUInt32BE(8);
    if (attempts[echo] === bytes.readUInt32BE(4)) {
      const rtt = Math.max(0.001, now - (sentAt[echo] as number) - bytes.readUInt32BE(12) / 1000);
      minRtt = Math.min(minRtt, rtt);
      rttVar = srtt === 0 ? rtt / 2 : rttVar + (Math.abs(rtt - srtt) - rttVar) / 4;
      srtt = srtt === 0 ? rtt : srtt + (rtt - srtt) / 8;
      newestAt = Math.max(newestAt, sentAt[echo] as number);
    }
    let newly = 0;
    const runs: number[] = [];
    for (let at = headerBytes; at < bytes.length; at += 4) runs.push(bytes.readUInt32BE(at));
    runs.push(upto, upto);
    let at = first;
    for (let run = 0; run < runs.length; run += 2) {
      for (; at < (runs[run] as number); at++) {
        if (state[at] === 2) continue;
        if (state[at] === 1) inFlight--;
        state[at] = 2;
        newly++;
      }
      at = Math.max(at, runs[run + 1] as number);
    }
    acked += newly;
    while (state[first] === 2) first++;
    if (acked === chunks) break;
    if (newly > 0) {
      backoff = 0;
      tailProbed = false;
      if (window < threshold) window += newly;
      else window += newly / window;
    }
    let isNew = false;
    for (let index = first; index < next; index++) {
      if (state[index] !== 1 || (sentAt[index] as number) >= newestAt - minRtt / 4) continue;
      isNew ||= (sentAt[index] as number) > recovery;
      state[index] = 3;
      inFlight--;
      lost.push(index);
    }
    if (isNew) {
      recovery = now;
      threshold = window = Math.max(minWindow, window / 2);
    }
    pump();
  }
  cancel?.();
  return { elapsedMs: clock.now() - start, chunks, resent };
}
