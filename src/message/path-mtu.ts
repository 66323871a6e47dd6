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
import { headersTo } from "../core/send/path-mtu-cache.js";
import { Socket } from "../core/socket/socket.js";
import { type Probe, type ProbeOutcome, Prober } from "./probes.js";

export type { ProbeOutcome } from "./probes.js";

/** The options of `probePathMtu`. */
export interface PathMtuOptions {
  /** Ends the search with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds that a probe waits for its answer while no round trip is known, above 0, at most a day. After that a probe
   * waits four round trips, and at least 200 ms, or `timeoutMs` if that is less. @default 1000
   */
  readonly timeoutMs?: number | undefined;
  /** Called with the outcome of each probe, in their order. If it throws, the search ends with that error. */
  readonly onProbe?: ((probe: PathMtuProbe) => void) | undefined;
}

/** One probe of a search, with its outcome. A probe that is answered late is reported twice: lost, then answered. */
export type PathMtuProbe = ProbeOutcome & {
  /** Bytes of its payload. */
  readonly size: number;
  /** 1 to 3: the number of this probe among those of its size. */
  readonly attempt: number;
};

/** The result of a search. */
export interface PathMtuResult {
  /** Bytes of payload of the largest datagram that arrives in one packet, 64 to 65,527. */
  readonly maxPayload: number;
  /** Bytes of that packet, IP header and all. */
  readonly mtu: number;
  /** Bytes of the IP and UDP headers, the difference: 28 over IPv4, 48 over IPv6. */
  readonly overhead: number;
  /** Probes that left this host. */
  readonly probes: number;
  /** Probes that vanished: no answer came, and no router sent an ICMP error. */
  readonly lost: number;
  /** Milliseconds of the shortest round trip. */
  readonly rttMs: number;
  /**
   * Whether datagrams vanish although this host's kernel would send them as one packet: some router drops them, and its ICMP
   * "fragmentation needed" or "packet too big" does not come through (RFC 8899 section 4.3). With the kernel's path MTU,
   * every large datagram would be lost there: send none above `maxPayload`. A peer that does not accept such long datagrams
   * looks the same from here.
   */
  readonly blackHole: boolean;
  /** Datagrams that came during the search and were no answer to a probe. They are lost. */
  readonly ignored: number;
}

const syscall = "probePathMtu";
const fields = fieldsOf<PathMtuOptions>({ signal: true, timeoutMs: true, onProbe: true });
/** Bytes of payload that nearly every path carries: BASE_PLPMTU of RFC 8899 section 5.1.2. */
const baseBytes = 1200;
/** Bytes of payload of the probe that finds out whether the path is narrow or nobody answers. */
const smallestBytes = 64;
/**
 * The MTUs of many paths: that of Ethernet (IEEE 802.3), and the smallest that IPv6 allows (RFC 8200 section 5), which
 * tunnels use.
 */
const commonMtus: readonly number[] = [1500, 1280];
/** Unanswered probes of one size, after which the size counts as too big: MAX_PROBES of RFC 8899 section 5.1.2. */
const maxProbes = 3;
/** How often a search starts again because the size that was found no longer comes through. */
const maxRestarts = 3;
/** The largest `timeoutMs`: a day. */
const longestMs = 24 * 60 * 60 * 1000;

/**
 * Finds the largest datagram that arrives at a peer in one packet, with the search of RFC 8899 (DPLPMTUD). It sends
 * probes that no router may fragment (`IP_PMTUDISC_PROBE`): 1200 bytes, the largest size that the first link takes, the sizes
 * that routers and the kernel report, the common MTUs, then sizes between these, to one byte. A size is too big if three
 * probes of it vanish. The size that was found is probed once more at the end; if it no longer comes through, the search
 * starts again below it.
 *
 * An ICMP error that may pass, such as one about a route, ends the search only if three probes of a size are lost and no answer
 * has come since (RFC 1122, sections 3.2.2.1 and 4.2.3.9).
 *
 * The peer must echo each datagram, as `datagram listen --echo` does, or answer each with a datagram of its own. An echo is
 * as long as the probe: if the path back is narrower and drops it, the search finds that smaller size.
 *
 * The search reads the socket, and nothing else may read it in this time. Other datagrams that arrive are lost, and counted as
 * `ignored`: use a separate socket for the search to lose none.
 *
 * @param address an IP literal and a port, as `Socket.maxPayload` takes it.
 * @throws (rejects) `OSError` `ETIMEDOUT` if nobody answers; `ECONNREFUSED` and others if ICMP reports that nobody is
 *   listening, or that there is no route after three lost probes; `ENOTSUP` without the feature `pathMtu`; `EINVAL` for a name or port 0,
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
  const prober = new Prober(socket, to, { signal, timeoutMs, smallestBytes, late });
  try {
    return await search.run(prober);
  } finally {
    prober.end();
  }
}

/** The state of a search: what is known of the path, and which size to try next. */
class Search {
  readonly #socket: Socket;
  readonly #to: Endpoint;
  readonly #overhead: number;
  readonly #onProbe: ((probe: PathMtuProbe) => void) | undefined;
  /** The largest size that was answered. */
  #carried = 0;
  /** The largest size that is possible: the limit of a datagram, or a smaller limit that a link or a router reported. */
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
      if (restart === maxRestarts) break;
      for (let size = this.#next(); size !== undefined; size = this.#next()) await this.#try(prober, size);
      const found = this.#carried;
      this.#carried = 0;
      await this.#try(prober, found);
      if (this.#carried >= found) break;
      vanishedLater ||= this.#vanished.has(found);
    }
    const byKernel = this.#payloadByKernel;
    return {
      maxPayload: this.#carried,
      mtu: this.#carried + this.#overhead,
      overhead: this.#overhead,
      probes: prober.sent,
      lost: prober.lost,
      rttMs: prober.shortestMs,
      blackHole: vanishedLater || [...this.#vanished].some((size) => size <= byKernel),
      ignored: prober.ignored,
    };
  }

  /** A probe that counted as lost was answered. */
  late({ size, attempt }: Probe, rttMs: number): void {
    this.#answered(size);
    this.#onProbe?.({ size, attempt, outcome: "answered", rttMs, late: true });
  }

  /** Finds a size that is answered. @throws `TimeoutError` if the smallest probes are not answered either. */
  async #findBase(prober: Prober): Promise<void> {
    for (const size of [baseBytes, smallestBytes]) {
      await this.#try(prober, size);
      if (this.#carried > 0) return;
    }
    const { host: address, port } = this.#to;
    const text = `no answer to ${prober.lost} probes, the smallest of ${smallestBytes} bytes: lost, or nobody answers there`;
    throw new TimeoutError({ syscall, address, port, text });
  }

  /** The size to try next; `undefined` if the search is over. */
  #next(): number | undefined {
    const max = Math.min(this.#ceiling, ...[...this.#vanished].map((size) => size - 1));
    const carried = this.#carried;
    if (carried >= max) return undefined;
    // No probe of that size has vanished yet.
    if (max === this.#ceiling) return max;
    const likely = [this.#payloadByKernel, ...commonMtus.map((mtu) => mtu - this.#overhead)];
    // If a common MTU is answered and one byte more is not, the search is over.
    if (likely.includes(carried)) return carried + 1;
    return likely.find((size) => size > carried && size <= max) ?? carried + Math.ceil((max - carried) / 2);
  }

  /** Sends probes of a size until one is answered, or it is known to be too big. */
  async #try(prober: Prober, size: number): Promise<void> {
    for (let attempt = 1; attempt <= maxProbes; attempt++) {
      if (this.#carried >= size || size > this.#ceiling) return;
      const outcome = await prober.probe(size, attempt);
      if (outcome.outcome === "answered") this.#answered(size);
      else if (outcome.outcome !== "lost") this.#ceiling = Math.min(this.#ceiling, outcome.limit);
      this.#onProbe?.({ size, attempt, ...outcome });
    }
    if (this.#carried >= size || size > this.#ceiling) return;
    // Then the probes did not vanish because of their size.
    prober.throwIfUnreachable();
    this.#vanished.add(size);
  }

  #answered(size: number): void {
    this.#carried = Math.max(this.#carried, size);
    for (const each of this.#vanished) if (each <= size) this.#vanished.delete(each);
  }

  /** Bytes of payload of one packet by the path MTU of the kernel, which may have learnt it through other sockets. */
  get #payloadByKernel(): number {
    return this.#socket.maxPayload(this.#to) ?? Infinity;
  }
}

/** Checks the arguments. Reads each option once. */
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
  if (to.port === 0) throw failure("EINVAL", to, "port 0 is not a destination");
  // The answers come from this address: `0.0.0.0` is this host.
  return { to: destinationOf(to), signal, timeoutMs, onProbe };
}

function failure(code: string, { host: address, port }: Address, text: string): OSError {
  return new OSError(code, { syscall, address, port, text });
}
