import { type Endpoint, isOverIPv4 } from "../address/address.js";
import type { Clock } from "../driver/driver.js";
import type { PathMtuChange } from "../ledger/reports.js";
import { OSError } from "../errors/errors.js";
import { payloadLimit } from "./failure.js";

/** Bytes of the IP and UDP headers in front of a payload (RFC 791 without options, RFC 8200, RFC 768). */
const headerBytes = { ipv4: 28, ipv6: 48 } as const;
/** Milliseconds for which the kernel is not asked again: routes change without a word. */
const believedMs = 10_000;
/** Hosts that are remembered; past that many, the one that was met first is forgotten. */
const mostHosts = 16_384;

/** What is known of the path to a host. */
interface Path {
  readonly mtu: number | undefined;
  readonly maxPayload: number;
  readonly until: number;
}

/** Bytes of payload that a datagram may have to go in one packet of `mtu` bytes. */
export function payloadWithin(mtu: number, to: Endpoint): number {
  return Math.min(mtu - headersTo(to), payloadLimit(to, to.family));
}

/** Bytes of the IP and UDP headers of a datagram to `to`. */
export function headersTo(to: Endpoint): number {
  return isOverIPv4(to) ? headerBytes.ipv4 : headerBytes.ipv6;
}

/** What one socket knows of the paths to its peers. */
export class PathMtus {
  readonly #ask: (to: Endpoint) => number | undefined;
  readonly #clock: Clock;
  readonly #changed: (change: PathMtuChange) => void;
  readonly #paths = new Map<string, Path>();

  /**
   * @param ask what the system knows now.
   * @param changed is told where that is another size than before, or where a router has told of it.
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
   * The path MTU to `to`, as the system has it now; `undefined` where it does not tell.
   *
   * @throws `OSError` `ENODEV` for a scope that is no interface.
   */
  mtu(to: Endpoint): number | undefined {
    return this.#enter(to, this.#ask(to)).mtu;
  }

  /** Bytes of payload that go whole to `to`, as far as was known a few seconds ago; `Infinity` where that is unknown. */
  maxPayload(to: Endpoint): number {
    const known = this.#paths.get(to.host);
    return known && known.until > this.#clock.now()
      ? known.maxPayload
      : (this.#learn(to)?.maxPayload ?? Infinity);
  }

  /** A router has told of a narrow path; the system knows by now. */
  narrowed(to: Endpoint, from: string | undefined): void {
    this.#learn(to, { from });
  }

  /** What nobody has asked for, and may fail without anybody's harm: then nothing is known. */
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
      // Its interface is gone.
      if (!(error instanceof OSError)) throw error;
    }
    return this.#enter(to, mtu, told);
  }

  #enter(to: Endpoint, mtu: number | undefined, told?: { readonly from: string | undefined }): Path {
    const before = this.#paths.get(to.host);
    const maxPayload = mtu === undefined ? Infinity : payloadWithin(mtu, to);
    const path = { mtu, maxPayload, until: this.#clock.now() + believedMs };
    if (!before && this.#paths.size === mostHosts) {
      const [first = ""] = this.#paths.keys();
      this.#paths.delete(first);
    }
    this.#paths.set(to.host, path);
    const isNews = before ? before.mtu !== mtu : told !== undefined;
    if (isNews && mtu !== undefined) this.#changed({ destination: to, mtu, maxPayload, from: told?.from });
    return path;
  }
}
