import { Buffer } from "node:buffer";

import { onAbort } from "../core/receive/abort.js";
import type { Endpoint } from "../core/address/address.js";
import type { Datagram } from "../core/receive/datagram.js";
import { OSError } from "../core/errors/errors.js";
import type { PathMtuChange, Unreachable } from "../core/ledger/reports.js";
import { sameHost } from "../core/address/hosts.js";
import { payloadWithin } from "../core/send/path-mtu.js";
import { interfaceNumberOf } from "../core/socket/settings.js";
import type { Socket } from "../core/socket/socket.js";

/** What became of a probe. */
export type ProbeOutcome =
  /** It arrived, and `rttMs` milliseconds later its answer was here; `late` where it had been held lost by then. */
  | { readonly outcome: "answered"; readonly rttMs: number; readonly late: boolean }
  /** Nothing was heard of it in time. */
  | { readonly outcome: "lost" }
  /** It never left: the first link takes at most `limit` bytes of payload. */
  | { readonly outcome: "refused"; readonly limit: number }
  /** A router, `from` where that is known, has no way on for packets above `mtu` bytes: `limit` bytes of payload. */
  | {
      readonly outcome: "tooBig";
      readonly limit: number;
      readonly mtu: number;
      readonly from: string | undefined;
    };

type TooBig = Extract<ProbeOutcome, { outcome: "tooBig" }>;

/** How probes are sent, and who is told. */
export interface ProberOptions {
  readonly signal: AbortSignal | undefined;
  /** Milliseconds that a probe waits for its answer while no round trip is known. */
  readonly timeoutMs: number;
  /** Bytes of the smallest probe: no path is narrower. */
  readonly leastBytes: number;
  /** A probe that was held lost is answered after all. */
  readonly late: (probe: Probe, rttMs: number) => void;
}

/** One probe that was sent. */
export interface Probe {
  readonly size: number;
  readonly attempt: number;
}

interface Sent extends Probe {
  readonly at: number;
}

/** Milliseconds that a probe waits for its answer at least, once a round trip is known: peers pause too. */
const leastPatienceMs = 200;
/** Round trips that a probe waits for its answer. */
const patienceRoundTrips = 4;
/** Datagrams that are read together. */
const batchDatagrams = 64;
/** Bytes at the beginning of an answer in which a token is looked for: what the peer says first stands before it. */
const tokenBytes = 256;

/**
 * Sends probes to one peer, one at a time, and tells which of them an answer is for. It reads the socket, until `end()`.
 *
 * A probe begins with a token of its own. A peer that echoes shows it, so that its answers are told apart, however late
 * they come. Of a peer that answers with something else, whatever comes next is the answer; what may still come for
 * smaller probes is let pass before a larger one is sent.
 */
export class Prober {
  /** Probes that left this host. */
  sent = 0;
  /** Datagrams that came and were no answer. */
  ignored = 0;

  readonly #socket: Socket;
  readonly #to: Endpoint;
  readonly #options: ProberOptions;
  /** Tells the probes of this search from those of others. */
  readonly #token: string;
  /** By number. */
  readonly #unanswered = new Map<number, Sent>();
  #numbers = 0;
  #shortestMs = Infinity;
  #echoes = false;
  #current: Sent | undefined;
  #tooBig: TooBig | undefined;
  /** What the socket's ledger had counted before the probe under way. */
  #tooBigBefore = 0;
  #failure: { readonly reason: unknown } | undefined;
  /** Fires when a wait has to end before its time. */
  #news = new AbortController();
  /** Milliseconds, smoothed; `undefined` while no round trip is known. */
  #roundTripMs: number | undefined;
  /** Bytes of the smallest probe whose answer may still come, from a peer that does not say which probe it answers. */
  #maybeLate = Infinity;
  readonly #ending: (() => void)[] = [];

  constructor(socket: Socket, to: Endpoint, options: ProberOptions) {
    this.#socket = socket;
    this.#to = to;
    this.#options = options;
    this.#token = socket.random().toString(16).padStart(8, "0");
    const heardPathMtu = (change: PathMtuChange): void => this.#heardPathMtu(change);
    const heardUnreachable = (report: Unreachable): void => this.#heardUnreachable(report);
    socket.on("pathMtu", heardPathMtu).on("unreachable", heardUnreachable);
    this.#ending.push(() => socket.off("pathMtu", heardPathMtu).off("unreachable", heardUnreachable));
    const { signal } = options;
    if (signal) this.#ending.push(onAbort(signal, () => this.#fail(signal.reason)));
  }

  end(): void {
    for (const end of this.#ending) end();
  }

  /** Milliseconds of the shortest round trip; `Infinity` while none is known. */
  get shortestMs(): number {
    return this.#shortestMs;
  }

  /** Probes that left, and of which nothing was heard. */
  get lost(): number {
    return this.#unanswered.size;
  }

  /**
   * Sends a probe of `size` bytes and waits for what becomes of it.
   *
   * @throws `OSError` when it cannot be sent, or ICMP says that nobody is there; the signal's reason.
   */
  async probe(size: number, attempt: number): Promise<ProbeOutcome> {
    this.#throwIfFailed();
    this.#news = new AbortController();
    this.#tooBig = undefined;
    this.#tooBigBefore = this.#socket.stats().tooBig;
    if (!this.#echoes) await this.#letPass(size);
    const number = ++this.#numbers;
    const sent: Sent = { size, attempt, at: this.#socket.clock.now() };
    this.#current = sent;
    try {
      const data = this.#payload(number, size);
      await this.#socket.sendmsg({ data, address: this.#to, probe: true });
    } catch (error) {
      this.#current = undefined;
      this.#throwIfFailed();
      if (!(error instanceof OSError && error.code === "EMSGSIZE")) throw error;
      return { outcome: "refused", limit: Math.min(error.limit ?? Infinity, size - 1) };
    }
    this.sent++;
    this.#unanswered.set(number, sent);
    const outcome = await this.#outcome(number, sent);
    this.#current = undefined;
    return outcome;
  }

  async #outcome(number: number, { size, at }: Sent): Promise<ProbeOutcome> {
    const { clock } = this.#socket;
    const until = clock.now() + this.#patienceMs;
    for (;;) {
      const left = until - clock.now();
      const datagrams = left > 0 ? await this.#receive(left) : [];
      const now = clock.now();
      for (const datagram of datagrams) this.#match(datagram, now);
      if (!this.#unanswered.has(number)) return { outcome: "answered", rttMs: now - at, late: false };
      const tooBig = this.#tooBig ?? (now < until ? undefined : this.#toldAgain(size));
      if (tooBig) {
        this.#unanswered.delete(number);
        return tooBig;
      }
      if (now < until) continue;
      this.#maybeLate = Math.min(this.#maybeLate, size);
      return { outcome: "lost" };
    }
  }

  /** Finds the probe that a datagram answers, where it answers one. */
  #match({ data, source }: Datagram, now: number): void {
    const number = this.#isPeer(source) ? this.#answered(data) : undefined;
    const probe = number === undefined ? undefined : this.#unanswered.get(number);
    if (number === undefined || !probe) {
      this.ignored++;
      return;
    }
    this.#unanswered.delete(number);
    const rttMs = now - probe.at;
    this.#shortestMs = Math.min(this.#shortestMs, rttMs);
    // As RFC 6298 section 2 smooths it.
    this.#roundTripMs ??= rttMs;
    this.#roundTripMs += (rttMs - this.#roundTripMs) / 8;
    if (probe !== this.#current) this.#options.late(probe, rttMs);
  }

  /** The number of the probe that a payload answers. */
  #answered(data: Buffer): number | undefined {
    const shown = /datagram probe ([0-9a-f]{8})-(\d{1,6}) /.exec(data.toString("latin1", 0, tokenBytes));
    if (shown) {
      this.#echoes = true;
      return shown[1] === this.#token ? Number(shown[2]) : undefined;
    }
    return this.#echoes || !this.#current ? undefined : this.#numbers;
  }

  /** Passes over what is there already, and waits for what may still come for probes smaller than `size`. */
  async #letPass(size: number): Promise<void> {
    const { clock } = this.#socket;
    const awaited = this.#maybeLate < size;
    const until = clock.now() + (awaited ? this.#patienceMs : 0);
    do {
      const datagrams = await this.#receive(Math.max(0, until - clock.now()));
      const now = clock.now();
      for (const datagram of datagrams) this.#match(datagram, now);
    } while (clock.now() < until);
    if (awaited) this.#maybeLate = Infinity;
  }

  /** What comes within so many milliseconds; nothing where nothing does, or there is other news. */
  async #receive(timeoutMs: number): Promise<Datagram[]> {
    try {
      return await this.#socket.recvMany(batchDatagrams, { timeoutMs, signal: this.#news.signal });
    } catch (error) {
      this.#throwIfFailed();
      if (this.#news.signal.aborted) return [];
      // On a connected socket, a receive call may be told what the event `pathMtu` tells too.
      if (error instanceof OSError && ["ETIMEDOUT", "EAGAIN", "EMSGSIZE"].includes(error.code)) return [];
      throw error;
    }
  }

  get #patienceMs(): number {
    const { timeoutMs } = this.#options;
    if (this.#roundTripMs === undefined) return timeoutMs;
    return Math.max(Math.min(leastPatienceMs, timeoutMs), patienceRoundTrips * this.#roundTripMs);
  }

  /** RFC 8899 section 4.6.1: counts for this destination alone, for the probe under way, and with a size that can be. */
  #heardPathMtu({ destination, mtu, maxPayload: limit, from }: PathMtuChange): void {
    const size = this.#current?.size ?? 0;
    if (from === undefined || !this.#isPeerHost(destination)) return;
    if (limit >= size || limit < this.#options.leastBytes) return;
    this.#tooBig = { outcome: "tooBig", limit, mtu, from };
    this.#news.abort();
  }

  /** What a router has told of the probe under way, where the kernel knew that already: then there is no event. */
  #toldAgain(size: number): TooBig | undefined {
    if (this.#socket.stats().tooBig === this.#tooBigBefore) return undefined;
    const mtu = this.#socket.pathMtu(this.#to);
    if (mtu === undefined) return undefined;
    const limit = payloadWithin(mtu, this.#to);
    return limit < size ? { outcome: "tooBig", limit, mtu, from: undefined } : undefined;
  }

  #heardUnreachable({ destination, code, kind, from }: Unreachable): void {
    if (!destination || !this.#isPeer(destination)) return;
    const { host: address, port } = this.#to;
    const said = kind !== undefined && from !== undefined ? ` (${kind}, from ${from})` : "";
    const what = code === "ECONNREFUSED" ? "nobody is listening there" : "it cannot be reached";
    this.#fail(new OSError(code, { syscall: "probePathMtu", address, port, text: what + said }));
  }

  #fail(reason: unknown): void {
    this.#failure ??= { reason };
    this.#news.abort();
  }

  #throwIfFailed(): void {
    if (this.#failure) throw this.#failure.reason;
  }

  #isPeer(address: Endpoint): boolean {
    return address.port === this.#to.port && this.#isPeerHost(address);
  }

  #isPeerHost({ host }: Endpoint): boolean {
    return sameHost(host, this.#to.host, interfaceNumberOf(this.#socket));
  }

  /** Text that tells a person at the other end what it is. */
  #payload(number: number, size: number): Buffer {
    const payload = Buffer.alloc(size, ".");
    payload.write(`datagram probe ${this.#token}-${number} ${size} `, "latin1");
    return payload;
  }
}
