import { type Endpoint, isOverIPv4 } from "../address/address.js";
import type { Clock } from "../driver/driver.js";
import type { PathMtuChange } from "../ledger/reports.js";
import { OSError } from "../errors/errors.js";
import { payloadLimit } from "./failure.js";

/** Bytes of the IP and UDP headers in front of a payload (RFC 791 without options, RFC 8200, RFC 768). */
const headerBytes = { ipv4: 28, ipv6: 48 } as const;
/** Milliseconds for which a path MTU is used before the kernel is asked again. The kernel does not report changes of routes. */
const cachedMs = 10_000;
/** The maximum number of hosts in the cache. If it is full, the oldest entry is removed. */
const maxHosts = 16_384;

/** The path to a host, as known. */
interface Path {
  readonly mtu: number | undefined;
  readonly maxPayload: number;
  readonly until: number;
}

/** The largest payload, in bytes, of a datagram that fits into one packet of `mtu` bytes. */
export function payloadWithin(mtu: number, to: Endpoint): number {
  return Math.min(mtu - headersTo(to), payloadLimit(to, to.family));
}

/** Bytes of the IP and UDP headers of a datagram to `to`. */
export function headersTo(to: Endpoint): number {
  return isOverIPv4(to) ? headerBytes.ipv4 : headerBytes.ipv6;
}

/** The cached path MTUs of one socket. */
export class PathMtus {
  readonly #ask: (to: Endpoint) => number | undefined;
  readonly #clock: Clock;
  readonly #changed: (change: PathMtuChange) => void;
  readonly #paths = new Map<string, Path>();

  /**
   * @param ask returns the path MTU that the system knows now.
   * @param changed is called if the path MTU differs from the cached one, or if a router reported the first one.
   */
  constructor(
    ask: (to: Endpoint) => number | undefined,
    clock: Clock,
    changed: (change: PathMtuChange) => void,
  ) {
    this.#ask = ask;
    this.#clock = clock;
    this.#changed = changed;
  }

  /**
   * Returns the path MTU to `to` that the system knows now; `undefined` if the system does not know it.
   *
   * @throws `OSError` `ENODEV` if the scope names no interface.
   */
  mtu(to: Endpoint): number | undefined {
    return this.#enter(to, this.#ask(to)).mtu;
  }

  /** Bytes of the largest payload that fits into one packet to `to`, cached for 10 s; `Infinity` if it is not known. */
  maxPayload(to: Endpoint): number {
    const known = this.#paths.get(to.host);
    return known && known.until > this.#clock.now()
      ? known.maxPayload
      : (this.#learn(to)?.maxPayload ?? Infinity);
  }

  /** A router reported a smaller path MTU. The system knows the new value already. */
  narrowed(to: Endpoint, from: string | undefined): void {
    this.#learn(to, { from });
  }

  /** Updates the cache. Returns `undefined` for a failure: no caller asked for the path MTU, so no caller gets the error. */
  #learn(to: Endpoint, told?: { readonly from: string | undefined }): Path | undefined {
    try {
      return this.#look(to, told);
    } catch {
      return undefined;
    }
  }

  #look(to: Endpoint, told?: { readonly from: string | undefined }): Path {
    let mtu: number | undefined;
    try {
      mtu = this.#ask(to);
    } catch (error) {
      // The interface of the scope does not exist any more.
      if (!(error instanceof OSError)) throw error;
    }
    return this.#enter(to, mtu, told);
  }

  #enter(to: Endpoint, mtu: number | undefined, told?: { readonly from: string | undefined }): Path {
    const before = this.#paths.get(to.host);
    const maxPayload = mtu === undefined ? Infinity : payloadWithin(mtu, to);
    const path = { mtu, maxPayload, until: this.#clock.now() + cachedMs };
    if (!before && this.#paths.size === maxHosts) {
      const [first = ""] = this.#paths.keys();
      this.#paths.delete(first);
    }
    this.#paths.set(to.host, path);
    const isNew = before ? before.mtu !== mtu : told !== undefined;
    if (isNew && mtu !== undefined) this.#changed({ destination: to, mtu, maxPayload, from: told?.from });
    return path;
  }
}
