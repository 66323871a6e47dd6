import { Buffer } from "node:buffer";

import { onAbort } from "../core/receive/abort.js";
import type { Endpoint } from "../core/address/address.js";
import type { Datagram } from "../core/receive/datagram.js";
import { OSError } from "../core/errors/errors.js";
import type { PathMtuChange, Unreachable } from "../core/ledger/reports.js";
import { sameHost } from "../core/address/same-host.js";
import { payloadWithin } from "../core/send/path-mtu-cache.js";
import { interfaceNumberOf } from "../core/socket/settings.js";
import type { Socket } from "../core/socket/socket.js";
import { type Obstacle, obstacleOf, obstacleToSend, unreachableError } from "./unreachable.js";

/** The outcome of a probe. */
export type ProbeOutcome =
  /** Its answer came `rttMs` milliseconds after it was sent; `late` if it counted as lost by then. */
  | { readonly outcome: "answered"; readonly rttMs: number; readonly late: boolean }
  /** No answer and no ICMP error came in time. */
  | { readonly outcome: "lost" }
  /** It was not sent: the first link takes at most `limit` bytes of payload. */
  | { readonly outcome: "refused"; readonly limit: number }
  /** A router (`from`, if known) cannot forward packets above `mtu` bytes, which are `limit` bytes of payload. */
  | {
      readonly outcome: "tooBig";
      readonly limit: number;
      readonly mtu: number;
      readonly from: string | undefined;
    };

type TooBig = Extract<ProbeOutcome, { outcome: "tooBig" }>;

/** The options of a prober. */
export interface ProberOptions {
  readonly signal: AbortSignal | undefined;
  /** Milliseconds that a probe waits for its answer while no round trip is known. */
  readonly timeoutMs: number;
  /** Bytes of the smallest probe. A smaller limit of a router is not believed. */
  readonly smallestBytes: number;
  /** Called when a probe that counted as lost is answered. */
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

/** The shortest time that a probe waits for its answer after a round trip is known, in milliseconds: peers may pause. */
const minWaitMs = 200;
/** Round trips that a probe waits for its answer. */
const waitRoundTrips = 4;
/** The largest number of datagrams that are read together. */
const batchDatagrams = 64;
/** Bytes at the start of an answer that are searched for a token. A peer may put text of its own before it. */
const tokenBytes = 256;
const syscall = "probePathMtu";

/**
 * Sends probes to one peer, one at a time, and matches answers with probes. It reads the socket until `end()`.
 *
 * Each probe begins with its own token. An echo contains the token, so each answer is matched, however late it comes. If a
 * peer answers with something else, its next datagram counts as the answer. So before a larger probe is sent, the prober
 * waits for late answers to smaller ones.
 */
export class Prober {
  /** Probes that left this host. */
  sent = 0;
  /** Datagrams that came and were no answer. */
  ignored = 0;

  readonly #socket: Socket;
  readonly #to: Endpoint;
  readonly #options: ProberOptions;
  /** Distinguishes the probes of this search from those of others. */
  readonly #token: string;
  /** The probes without an answer, by number. */
  readonly #unanswered = new Map<number, Sent>();
  #numbers = 0;
  #shortestMs = Infinity;
  #echoes = false;
  #current: Sent | undefined;
  #tooBig: TooBig | undefined;
  /** `tooBig` of the socket's statistics before the current probe. */
  #tooBigBefore = 0;
  #failure: { readonly reason: unknown } | undefined;
  /** The last ICMP error since the last answer, of those that may pass. */
  #obstacle: Obstacle | undefined;
  /** Aborted when a wait must end early. */
  #interrupt = new AbortController();
  /** The smoothed round trip in milliseconds; `undefined` while no round trip is known. */
  #roundTripMs: number | undefined;
  /** Bytes of the smallest probe whose answer may still come, from a peer that does not echo. */
  #maybeLate = Infinity;
  readonly #ending: (() => void)[] = [];

  constructor(socket: Socket, to: Endpoint, options: ProberOptions) {
    this.#socket = socket;
    this.#to = to;
    this.#options = options;
    this.#token = socket.random().toString(16).padStart(8, "0");
    const onPathMtu = (change: PathMtuChange): void => this.#onPathMtu(change);
    const onUnreachable = (report: Unreachable): void => this.#onUnreachable(report);
    socket.on("pathMtu", onPathMtu).on("unreachable", onUnreachable);
    this.#ending.push(() => socket.off("pathMtu", onPathMtu).off("unreachable", onUnreachable));
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

  /** Probes that were sent, without an answer or an ICMP error. */
  get lost(): number {
    return this.#unanswered.size;
  }

  /**
   * Sends a probe of `size` bytes and waits for its outcome.
   *
   * @throws `OSError` if it cannot be sent, or ICMP reports that nobody is listening; the signal's reason.
   */
  async probe(size: number, attempt: number): Promise<ProbeOutcome> {
    this.#throwIfFailed();
    this.#interrupt = new AbortController();
    this.#tooBig = undefined;
    this.#tooBigBefore = this.#socket.stats().tooBig;
    if (!this.#echoes) await this.#awaitLate(size);
    const number = ++this.#numbers;
    const sent: Sent = { size, attempt, at: this.#socket.clock.now() };
    this.#current = sent;
    try {
      await this.#send(this.#payload(number, size));
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

  /** @throws `OSError` if ICMP reports that the peer is unreachable, and no answer has come since. */
  throwIfUnreachable(): void {
    if (!this.#obstacle) return;
    const { code, text } = this.#obstacle;
    const { host: address, port } = this.#to;
    throw new OSError(code, { syscall, address, port, text });
  }

  async #send(data: Buffer): Promise<void> {
    const datagram = { data, address: this.#to, probe: true };
    try {
      await this.#socket.sendmsg(datagram);
    } catch (error) {
      // On a connected socket, a call may fail with the ICMP error of an earlier probe.
      if (this.sent === 0 || !this.#mayPass(error)) throw error;
      await this.#socket.sendmsg(datagram);
    }
  }

  async #outcome(number: number, { size, at }: Sent): Promise<ProbeOutcome> {
    const { clock } = this.#socket;
    const until = clock.now() + this.#waitMs;
    for (;;) {
      const left = until - clock.now();
      const datagrams = left > 0 ? await this.#receive(left) : [];
      const now = clock.now();
      for (const datagram of datagrams) this.#match(datagram, now);
      if (!this.#unanswered.has(number)) return { outcome: "answered", rttMs: now - at, late: false };
      const tooBig = this.#tooBig ?? (now < until ? undefined : this.#reportedAgain(size));
      if (tooBig) {
        this.#unanswered.delete(number);
        return tooBig;
      }
      if (now < until) continue;
      this.#maybeLate = Math.min(this.#maybeLate, size);
      return { outcome: "lost" };
    }
  }

  /** Finds the probe that a datagram answers, if it answers one. */
  #match({ data, source }: Datagram, now: number): void {
    const number = this.#isPeer(source) ? this.#answered(data) : undefined;
    const probe = number === undefined ? undefined : this.#unanswered.get(number);
    if (number === undefined || !probe) {
      this.ignored++;
      return;
    }
    this.#unanswered.delete(number);
    this.#obstacle = undefined;
    const rttMs = now - probe.at;
    this.#shortestMs = Math.min(this.#shortestMs, rttMs);
    // Smoothed as in RFC 6298 section 2.
    this.#roundTripMs ??= rttMs;
    this.#roundTripMs += (rttMs - this.#roundTripMs) / 8;
    if (probe !== this.#current) this.#options.late(probe, rttMs);
  }

  /** The number of the probe that a payload answers; `undefined` if it answers none. */
  #answered(data: Buffer): number | undefined {
    const shown = /datagram probe ([0-9a-f]{8})-(\d{1,6}) /.exec(data.toString("latin1", 0, tokenBytes));
    if (shown) {
      this.#echoes = true;
      return shown[1] === this.#token ? Number(shown[2]) : undefined;
    }
    return this.#echoes || !this.#current ? undefined : this.#numbers;
  }

  /** Reads the datagrams that are there, and waits for late answers to probes smaller than `size`. */
  async #awaitLate(size: number): Promise<void> {
    const { clock } = this.#socket;
    const awaited = this.#maybeLate < size;
    const until = clock.now() + (awaited ? this.#waitMs : 0);
    do {
      const datagrams = await this.#receive(Math.max(0, until - clock.now()));
      const now = clock.now();
      for (const datagram of datagrams) this.#match(datagram, now);
    } while (clock.now() < until);
    if (awaited) this.#maybeLate = Infinity;
  }

  /** Returns the datagrams that come within `timeoutMs`; none if none comes, or if an event interrupts the wait. */
  async #receive(timeoutMs: number): Promise<Datagram[]> {
    try {
      return await this.#socket.recvMany(batchDatagrams, { timeoutMs, signal: this.#interrupt.signal });
    } catch (error) {
      this.#throwIfFailed();
      if (this.#interrupt.signal.aborted) return [];
      // On a connected socket, a receive call may fail with the ICMP error that the event `pathMtu` reports too.
      if (error instanceof OSError && ["ETIMEDOUT", "EAGAIN", "EMSGSIZE"].includes(error.code)) return [];
      if (this.#mayPass(error)) return [];
      throw error;
    }
  }

  get #waitMs(): number {
    const { timeoutMs } = this.#options;
    if (this.#roundTripMs === undefined) return timeoutMs;
    return Math.max(Math.min(minWaitMs, timeoutMs), waitRoundTrips * this.#roundTripMs);
  }

  /** RFC 8899 section 4.6.1: a report counts only for this destination, for the current probe, and with a possible size. */
  #onPathMtu({ destination, mtu, maxPayload: limit, from }: PathMtuChange): void {
    const size = this.#current?.size ?? 0;
    if (from === undefined || !this.#isPeerHost(destination)) return;
    if (limit >= size || limit < this.#options.smallestBytes) return;
    this.#tooBig = { outcome: "tooBig", limit, mtu, from };
    this.#interrupt.abort();
  }

  /** A router reported the current probe as too big, but the kernel knew this path MTU already: then there is no event. */
  #reportedAgain(size: number): TooBig | undefined {
    if (this.#socket.stats().tooBig === this.#tooBigBefore) return undefined;
    const mtu = this.#socket.pathMtu(this.#to);
    if (mtu === undefined) return undefined;
    const limit = payloadWithin(mtu, this.#to);
    return limit < size ? { outcome: "tooBig", limit, mtu, from: undefined } : undefined;
  }

  #onUnreachable(report: Unreachable): void {
    const { destination } = report;
    if (!destination || !this.#isPeer(destination)) return;
    const obstacle = obstacleOf(report, this.#socket.clock.now());
    if (obstacle) this.#obstacle = obstacle;
    else this.#fail(unreachableError(syscall, this.#to, report));
  }

  /** Whether the error of a call may be an ICMP error that may pass. If it cannot pass, the event ends the search. */
  #mayPass(error: unknown): boolean {
    const obstacle = obstacleToSend(error, this.#obstacle, this.#socket.clock.now());
    if (obstacle) this.#obstacle = obstacle;
    return obstacle !== undefined;
  }

  #fail(reason: unknown): void {
    this.#failure ??= { reason };
    this.#interrupt.abort();
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

  /** A payload whose text explains the datagram to a person at the peer. */
  #payload(number: number, size: number): Buffer {
    const payload = Buffer.alloc(size, ".");
    payload.write(`datagram probe ${this.#token}-${number} ${size} `, "latin1");
    return payload;
  }
}
