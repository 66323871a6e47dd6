import type { Buffer } from "node:buffer";

import { isOverIPv4, isWildcard } from "../core/address.js";
import {
  AF_INET,
  AF_INET6,
  type Datagram,
  type Endpoint,
  OSError,
  SOCK_DGRAM,
  type Socket,
  socket,
} from "../index.js";
import type { LinkInput } from "../sim/link/settings.js";
import { Random } from "../sim/random.js";
import { type Client, Clients } from "./clients.js";
import type { Departure } from "./departure.js";
import { Direction } from "./direction.js";
import { type CheckedOptions, type ProxyOptions, checkFaults, checkOptions } from "./options.js";
import { Counts, type DirectionStats, type RelayStats, Tally } from "./stats.js";
import { reach } from "./target.js";

/** Datagrams that are read and sent together. */
const batchDatagrams = 512;

/**
 * Starts a UDP relay that does to datagrams what a bad network does. Each client has a socket of its own before the target, and
 * gets the answers to that.
 *
 * @throws (rejects) `OSError` of `bind` and `connect`: `EADDRINUSE`, `EADDRNOTAVAIL`, `ENOTFOUND`, `ENETUNREACH`, …;
 *   `EINVAL` where the target is the relay itself; `TypeError`, `RangeError` that name the option.
 */
export async function proxy(options: ProxyOptions): Promise<Relay> {
  const checked = checkOptions(options);
  const { listen } = checked;
  const family = listen.family === AF_INET6 ? AF_INET6 : AF_INET;
  const listener = socket(family, SOCK_DGRAM, { metadata: isWildcard(listen.host) });
  try {
    await listener.bind(listen);
    const target = await reach(checked.target, listener.getsockname());
    return new Relay(listener, target, checked);
  } catch (error) {
    await listener.close();
    throw error;
  }
}

/** A running relay, made by `proxy()`. While it runs, it keeps the process alive. */
export class Relay implements AsyncDisposable {
  /** Where clients send to. */
  readonly address: Endpoint;
  /** Where their datagrams go. */
  readonly target: Endpoint;
  /** What the draws follow from. */
  readonly seed: number;
  readonly #listener: Socket;
  readonly #clients: Clients;
  readonly #up: Direction<Client>;
  readonly #down: Direction<Client>;
  readonly #upUnreachable = new Counts();
  readonly #downUnreachable = new Counts();
  readonly #errors = new Counts();
  /** What the sockets of clients counted that are gone. */
  readonly #gone: Tally;
  readonly #batch: number;
  readonly #replies: boolean;
  #refused = 0;
  #closing: Promise<void> | undefined;

  /** @param listener bound. */
  constructor(listener: Socket, target: Endpoint, options: CheckedOptions) {
    this.#listener = listener;
    this.address = listener.getsockname();
    this.target = target;
    this.seed = options.seed ?? listener.random();
    this.#batch = Math.min(batchDatagrams, options.maxInFlight);
    this.#replies = isWildcard(this.address.host);
    this.#gone = new Tally(listener.capabilities.kernelDropCount.available);
    const { clock } = listener;
    const { maxInFlight, maxInFlightBytes, maxClients, idleMs } = options;
    const { up, down } = this.#check(options.link);
    const bounds = { clock, maxInFlight, maxInFlightBytes };
    this.#up = new Direction(up, new Random(this.seed, "up"), {
      ...bounds,
      send: (departures) => this.#sendUp(departures),
    });
    this.#down = new Direction(down, new Random(this.seed, "down"), {
      ...bounds,
      send: (departures) => this.#sendDown(departures),
    });
    this.#clients = new Clients({
      ...{ clock, target, maxClients, idleMs },
      keepLast: this.#replies,
      opened: (client) => this.#opened(client),
      removed: (client) => {
        this.#gone.add(client.upstream.stats());
        void client.upstream.close();
      },
      failed: (error) => this.#errors.add(error.code),
    });
    listener.on("unreachable", ({ code }) => this.#downUnreachable.add(code));
    void this.#readClients();
  }

  /**
   * What happens on the way from now on, in place of what happened before; `{}` is nothing. What is on its way already is
   * not touched.
   *
   * @throws `TypeError`, `RangeError` that name the field; then all stays as it was.
   */
  set(link: LinkInput): void {
    const { up, down } = this.#check(link);
    this.#up.set(up);
    this.#down.set(down);
  }

  /** What was done so far. */
  stats(): RelayStats {
    const upstream = this.#gone.copy();
    for (const client of this.#clients) upstream.add(client.upstream.stats());
    const listener = new Tally(false);
    listener.add(this.#listener.stats());
    return Object.freeze({
      up: this.#count(this.#up, listener, upstream, this.#upUnreachable, this.#refused),
      down: this.#count(this.#down, upstream, listener, this.#downUnreachable, 0),
      clients: Object.freeze({
        now: this.#clients.now,
        ever: this.#clients.ever,
        expired: this.#clients.expired,
      }),
      errors: this.#errors.snapshot(),
    });
  }

  /** Ends it: its sockets are closed, and what was on its way is counted as `unsent`. May be called twice. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#up.close();
    this.#down.close();
    await Promise.all([this.#listener.close(), this.#clients.close()]);
    // Whoever waited for these sockets has heard of their end by then.
    await this.#turn();
  }

  #check(link: LinkInput): ReturnType<typeof checkFaults> {
    return checkFaults(link, isOverIPv4(this.address));
  }

  #count(
    direction: Direction<Client>,
    from: Tally,
    to: Tally,
    unreachable: Counts,
    refused: number,
  ): DirectionStats {
    const { lost, queueFull, tooBig, duplicated, reordered, corrupted } = direction;
    const { inFlight, overflowed, unsent } = direction;
    return Object.freeze({
      received: from.received,
      delivered: to.sent,
      ...{ lost, queueFull, tooBig, duplicated, reordered, corrupted, inFlight, overflowed, unsent, refused },
      overrun: from.overrun,
      unreachable: unreachable.snapshot(),
    });
  }

  #readClients(): Promise<void> {
    return this.#read(this.#listener, this.#up, (datagram) => {
      const client = this.#clients.of(datagram, this.#listener.clock.now());
      if (!client) this.#refused++;
      return client;
    });
  }

  #opened(client: Client): void {
    const { upstream } = client;
    upstream.on("unreachable", ({ code }) => this.#upUnreachable.add(code));
    upstream.connect(this.target).catch((error: unknown) => {
      this.#failed(upstream, error);
      this.#clients.remove(client);
    });
    void this.#read(upstream, this.#down, () => {
      client.activeMs = upstream.clock.now();
      return client;
    });
  }

  /** Takes what comes to a socket until it is closed. */
  async #read(
    s: Socket,
    direction: Direction<Client>,
    clientOf: (datagram: Datagram) => Client | undefined,
  ): Promise<void> {
    for (;;) {
      try {
        direction.enter(await s.recvMany(this.#batch), clientOf);
      } catch (error) {
        if (s.closed) return;
        this.#failed(s, error);
        await this.#turn();
      }
      await direction.flush();
    }
  }

  async #sendUp(departures: readonly Departure<Client>[]): Promise<number> {
    const payloads = new Map<Client, Buffer[]>();
    for (const { data, to } of departures) {
      const known = payloads.get(to);
      if (known) known.push(data);
      else payloads.set(to, [data]);
    }
    const sends = Array.from(payloads, ([{ upstream }, each]) =>
      this.#unsent(upstream, each.length, upstream.sendMany(each)),
    );
    return sum(await Promise.all(sends));
  }

  async #sendDown(departures: readonly Departure<Client>[]): Promise<number> {
    const s = this.#listener;
    if (this.#replies) {
      // Each has one: `keepLast`.
      const sends = departures.map(({ data, to }) => this.#unsent(s, 1, (to.last as Datagram).reply(data)));
      return sum(await Promise.all(sends));
    }
    const outgoing = departures.map(({ data, to }) => ({ data, address: to.address }));
    return this.#unsent(s, outgoing.length, s.sendMany(outgoing));
  }

  /** How many of a send were not sent. */
  async #unsent(s: Socket, datagrams: number, sending: Promise<number>): Promise<number> {
    try {
      await sending;
      return 0;
    } catch (error) {
      const { sent = 0 } = this.#failed(s, error);
      return datagrams - sent;
    }
  }

  /** Counts the failure of a call, unless the socket counts it as what ICMP said, or was closed. */
  #failed(s: Socket, error: unknown): OSError {
    if (!(error instanceof OSError)) throw error;
    if (!s.closed && !(error.code in (s.stats().unreachable ?? {}))) this.#errors.add(error.code);
    return error;
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#listener.clock.turn(resolve));
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
