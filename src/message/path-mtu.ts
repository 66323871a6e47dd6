import {
  Address,
  type AddressLike,
  type Endpoint,
  destinationOf,
  forFamily,
  isEndpoint,
} from "../core/address/address.js";
import { OSError, TimeoutError, outOfRange, wrongType } from "../core/errors/errors.js";
import { payloadLimit } from "../core/send/failure.js";
import { fieldsOf, refuseUnknown } from "../core/errors/fields.js";
import { headersTo } from "../core/send/path-mtu.js";
import { Socket } from "../core/socket/socket.js";
import { type Probe, type ProbeOutcome, Prober } from "./probes.js";

export type { ProbeOutcome } from "./probes.js";

/** How `probePathMtu` searches. */
export interface PathMtuOptions {
  /** Ends the search with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds that a probe waits for its answer while no round trip is known, above 0, a day at most. From then on it
   * waits four round trips, and at least 200 ms, or this where it is less. @default 1000
   */
  readonly timeoutMs?: number | undefined;
  /** Is told what became of each probe, in their order. What it throws ends the search. */
  readonly onProbe?: ((probe: PathMtuProbe) => void) | undefined;
}

/** One probe of a search, and what became of it. One that is answered late is told of twice: lost, then answered. */
export type PathMtuProbe = ProbeOutcome & {
  /** Bytes of its payload. */
  readonly size: number;
  /** 1 to 3: which of the probes of this size it is. */
  readonly attempt: number;
};

/** What a search has found. */
export interface PathMtuResult {
  /** Bytes of payload of the largest datagram that arrives in one packet, 64 to 65,527. */
  readonly maxPayload: number;
  /** Bytes of that packet, IP header and all. */
  readonly mtu: number;
  /** Bytes of the IP and UDP headers, the difference: 28 over IPv4, 48 over IPv6. */
  readonly overhead: number;
  /** Probes that left this host. */
  readonly probes: number;
  /** Of these, how many vanished: no answer came, and no router had a word for them. */
  readonly lost: number;
  /** Milliseconds of the shortest round trip. */
  readonly rttMs: number;
  /**
   * Whether datagrams vanish without a word that this host's kernel would send as one packet: some router drops them, and
   * its ICMP "fragmentation needed" or "packet too big" does not come through (RFC 8899 section 4.3). Who trusts the
   * kernel's path MTU there loses every large datagram: send none above `maxPayload`. A peer that does not take datagrams
   * so long looks the same from here.
   */
  readonly blackHole: boolean;
  /** Datagrams that came meanwhile, were no answer to a probe, and are gone. */
  readonly ignored: number;
}

const syscall = "probePathMtu";
const fields = fieldsOf<PathMtuOptions>({ signal: true, timeoutMs: true, onProbe: true });
/** Bytes of payload that nearly every path carries: BASE_PLPMTU of RFC 8899 section 5.1.2. */
const baseBytes = 1200;
/** Bytes of payload of a probe that tells a narrow path from one on which nobody answers. */
const leastBytes = 64;
/** The MTU of many paths: Ethernet's (IEEE 802.3), and the least that IPv6 allows (RFC 8200 section 5), which tunnels have. */
const commonMtus: readonly number[] = [1500, 1280];
/** Probes of one size that go unanswered before it is held too big: MAX_PROBES of RFC 8899 section 5.1.2. */
const mostProbes = 3;
/** Searches that begin anew because the size that was found no longer comes through. */
const mostRestarts = 3;
/** Milliseconds that a probe may be told to wait at most: a day. */
const longestMs = 24 * 60 * 60 * 1000;

/**
 * Finds the largest datagram that arrives at a peer in one packet, with the search of RFC 8899 (DPLPMTUD). It sends
 * probes that no router may fragment (`IP_PMTUDISC_PROBE`): 1200 bytes, the most that the first link takes, what routers
 * and the kernel tell of the path, the common MTUs, then what lies between, to one byte. A size is too big when three
 * probes of it vanish. What was found is probed once more at the end; where it no longer comes through, the search begins
 * anew below it.
 *
 * The peer has to echo each datagram, or to answer each with one of its own, as `datagram listen --echo` does. A peer that
 * echoes answers with as many bytes: where its way back is narrower and drops them, that size is what is found.
 *
 * The search reads the socket: nobody else may meanwhile. Datagrams that are no answers to it are lost, and counted as
 * `ignored`; a socket of its own loses none.
 *
 * @param address an IP literal and a port, as `Socket.maxPayload` takes it.
 * @throws (rejects) `OSError` `ETIMEDOUT` when nobody answers; `ECONNREFUSED` and others when ICMP says that nobody is
 *   listening, or that there is no way; `ENOTSUP` without the feature `pathMtu`; `EINVAL` for a name or port 0,
 *   `EAFNOSUPPORT`, `EBADF`, `EBUSY`, `ECANCELED` by `close()`, and as `sendmsg`; `TypeError`, `RangeError`;
 *   `signal.reason`.
 */
export async function probePathMtu(
  socket: Socket,
  address: AddressLike,
  options: PathMtuOptions = {},
): Promise<PathMtuResult> {
  const { to, signal, timeoutMs, onProbe } = checked(socket, address, options);
  signal?.throwIfAborted();
  const { pathMtu } = socket.capabilities;
  if (!pathMtu.available) throw failure("ENOTSUP", to, pathMtu.reason);
  const search = new Search(socket, to, onProbe);
  const late = (probe: Probe, rttMs: number): void => search.late(probe, rttMs);
  const prober = new Prober(socket, to, { signal, timeoutMs, leastBytes, late });
  try {
    return await search.run(prober);
  } finally {
    prober.end();
  }
}

/** What is known of a path, and what to ask next. */
class Search {
  readonly #socket: Socket;
  readonly #to: Endpoint;
  readonly #overhead: number;
  readonly #onProbe: ((probe: PathMtuProbe) => void) | undefined;
  /** The largest size that was answered. */
  #carried = 0;
  /** The largest that may be: what a datagram can carry, less where a link or a router has told. */
  #ceiling: number;
  /** Sizes whose probes vanished. */
  readonly #vanished = new Set<number>();

  constructor(socket: Socket, to: Endpoint, onProbe: ((probe: PathMtuProbe) => void) | undefined) {
    this.#socket = socket;
    this.#to = to;
    this.#overhead = headersTo(to);
    this.#onProbe = onProbe;
    this.#ceiling = payloadLimit(to, to.family);
  }

  async run(prober: Prober): Promise<PathMtuResult> {
    let vanishedLater = false;
    for (let restart = 0; ; restart++) {
      await this.#findBase(prober);
      if (restart === mostRestarts) break;
      for (let size = this.#next(); size !== undefined; size = this.#next()) await this.#try(prober, size);
      const found = this.#carried;
      this.#carried = 0;
      await this.#try(prober, found);
      if (this.#carried >= found) break;
      vanishedLater ||= this.#vanished.has(found);
    }
    const believed = this.#believed;
    return {
      maxPayload: this.#carried,
      mtu: this.#carried + this.#overhead,
      overhead: this.#overhead,
      probes: prober.sent,
      lost: prober.lost,
      rttMs: prober.shortestMs,
      blackHole: vanishedLater || [...this.#vanished].some((size) => size <= believed),
      ignored: prober.ignored,
    };
  }

  /** A probe that was held lost is answered after all. */
  late({ size, attempt }: Probe, rttMs: number): void {
    this.#answered(size);
    this.#onProbe?.({ size, attempt, outcome: "answered", rttMs, late: true });
  }

  /** @throws `TimeoutError` where the smallest probes go unanswered too. */
  async #findBase(prober: Prober): Promise<void> {
    for (const size of [baseBytes, leastBytes]) {
      await this.#try(prober, size);
      if (this.#carried > 0) return;
    }
    const { host: address, port } = this.#to;
    const text = `no answer to ${prober.lost} probes, the smallest of ${leastBytes} bytes: lost, or nobody answers there`;
    throw new TimeoutError({ syscall, address, port, text });
  }

  /** The size to try next; `undefined` where the search is over. */
  #next(): number | undefined {
    const most = Math.min(this.#ceiling, ...[...this.#vanished].map((size) => size - 1));
    const carried = this.#carried;
    if (carried >= most) return undefined;
    // No probe of that size has vanished yet.
    if (most === this.#ceiling) return most;
    const likely = [this.#believed, ...commonMtus.map((mtu) => mtu - this.#overhead)];
    // The limit of a path is likely one of these: then one byte more shows it.
    if (likely.includes(carried)) return carried + 1;
    return likely.find((size) => size > carried && size <= most) ?? carried + Math.ceil((most - carried) / 2);
  }

  /** Sends probes of a size until one is answered, or it is known to be too big. */
  async #try(prober: Prober, size: number): Promise<void> {
    for (let attempt = 1; attempt <= mostProbes; attempt++) {
      if (this.#carried >= size || size > this.#ceiling) return;
      const outcome = await prober.probe(size, attempt);
      if (outcome.outcome === "answered") this.#answered(size);
      else if (outcome.outcome !== "lost") this.#ceiling = Math.min(this.#ceiling, outcome.limit);
      this.#onProbe?.({ size, attempt, ...outcome });
    }
    if (this.#carried < size && size <= this.#ceiling) this.#vanished.add(size);
  }

  #answered(size: number): void {
    this.#carried = Math.max(this.#carried, size);
    for (const each of this.#vanished) if (each <= size) this.#vanished.delete(each);
  }

  /** Bytes of payload that go in one packet by what the kernel knows now; routers may have told it on other sockets. */
  get #believed(): number {
    return this.#socket.maxPayload(this.#to) ?? Infinity;
  }
}

/** The arguments, checked. Reads each option once. */
function checked(
  socket: Socket,
  address: AddressLike,
  options: PathMtuOptions,
): { to: Endpoint; timeoutMs: number } & Pick<PathMtuOptions, "signal" | "onProbe"> {
  if (!(socket instanceof Socket)) throw wrongType("socket", "a Socket", socket);
  if (typeof options !== "object" || options === null) throw wrongType("options", "an object", options);
  refuseUnknown(options, fields, "options: a field");
  const { signal, timeoutMs = 1000, onProbe } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw wrongType("signal", "an AbortSignal", signal);
  if (typeof timeoutMs !== "number") throw wrongType("timeoutMs", "a number of milliseconds", timeoutMs);
  if (!(timeoutMs > 0 && timeoutMs <= longestMs))
    throw outOfRange("timeoutMs", `above 0 and at most ${longestMs}`, timeoutMs);
  if (onProbe !== undefined && typeof onProbe !== "function")
    throw wrongType("onProbe", "a function", onProbe);
  const to = forFamily(Address.from(address), socket.family, syscall);
  if (!isEndpoint(to)) throw failure("EINVAL", to, "this takes an IP address, not a name: resolve it first");
  if (to.port === 0) throw failure("EINVAL", to, "port 0 is no destination");
  // Its answers come from there.
  return { to: destinationOf(to), signal, timeoutMs, onProbe };
}

function failure(code: string, { host: address, port }: Address, text: string): OSError {
  return new OSError(code, { syscall, address, port, text });
}
