import { isEndpoint } from "../core/address/address.js";
import {
  AF_INET,
  AF_INET6,
  type Address,
  type Endpoint,
  OSError,
  SOCK_DGRAM,
  type Socket,
  socket,
} from "../index.js";
import { kernelStack } from "../kernel/choice.js";
import { ownAddresses } from "../kernel/own-addresses.js";
import { forget } from "../kernel/resolver.js";
import { Counts, type TargetStats } from "./stats.js";

/** Milliseconds between two lookups of a target that is gone, so that a flood of ICMP errors causes one lookup. */
const lookUpAgainMs = 1000;

/** A target: the address that the program named, and the IP address that it has now. */
export class Target {
  /** The target as the program named it: a host name or an IP address, with a port. */
  readonly given: Address;
  /** ICMP errors about it, by code. */
  readonly unreachable: Counts = new Counts();
  /** The address of the last ICMP error. */
  lastUnreachable: Endpoint | undefined;
  moves = 0;
  movedClients = 0;
  failures = 0;
  readonly #own: Endpoint;
  #current: Endpoint;
  #lastError: string | undefined;
  /** When the next lookup is allowed. */
  #lookUpAtMs = 0;

  private constructor(given: Address, current: Endpoint, own: Endpoint) {
    this.given = given;
    this.#current = current;
    this.#own = own;
  }

  /**
   * Creates the target, after a check that there is a route to it.
   *
   * @param own the address of the relay.
   * @throws `OSError` as `connect` does; `EINVAL` if the target is the relay itself.
   */
  static async reach(given: Address, own: Endpoint): Promise<Target> {
    const [first] = await resolveTarget(given);
    await using s = socket(first.family, SOCK_DGRAM);
    await s.connect(first);
    const current = s.getpeername();
    refuseItself(current, own);
    return new Target(given, current, own);
  }

  /** The address of the last successful lookup. */
  get current(): Endpoint {
    return this.#current;
  }

  get isName(): boolean {
    return !isEndpoint(this.given);
  }

  /** Looks up the address for a new client; the resolver caches it. If the lookup fails, the address before stays. */
  async find(): Promise<Endpoint> {
    await this.#lookUp();
    return this.#current;
  }

  /**
   * Looks up the address again, after ICMP reported that `gone` is unreachable.
   *
   * @returns the new address; `undefined` if the target still has the address `gone`, or the last lookup was too recent.
   */
  async findAgain(gone: Endpoint, nowMs: number): Promise<Endpoint | undefined> {
    if (!this.isName || nowMs < this.#lookUpAtMs) return undefined;
    this.#lookUpAtMs = nowMs + lookUpAgainMs;
    forget(this.given.host);
    const found = await this.#lookUp();
    return found.length === 0 || found.some((each) => each.equals(gone)) ? undefined : this.#current;
  }

  stats(): TargetStats {
    const { given, moves, movedClients, failures } = this;
    return Object.freeze({
      ...{ target: String(given), address: this.#current, moves, movedClients, failures },
      lastError: this.#lastError,
      unreachable: this.unreachable.snapshot(),
      lastUnreachable: this.lastUnreachable,
    });
  }

  /**
   * Returns all addresses of the target. Returns none, and changes nothing, if the lookup fails or finds the relay itself.
   */
  async #lookUp(): Promise<readonly Endpoint[]> {
    try {
      const found = await resolveTarget(this.given);
      const [first] = found;
      refuseItself(first, this.#own);
      // The resolver may return the addresses of a name in another order each time.
      if (!found.some((each) => each.equals(this.#current))) this.moves++;
      this.#current = first;
      return found;
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      this.failures++;
      this.#lastError = error.message;
      return [];
    }
  }
}

/** Opens a socket for a target, not connected yet. @throws `OSError` `EMFILE`. */
export function socketFor(target: Endpoint): Socket {
  // The relay does not use the metadata of these datagrams, and receiving without it is faster.
  return socket(target.family, SOCK_DGRAM, { metadata: false });
}

/**
 * Resolves the addresses of a target: IPv4 addresses, or IPv6 addresses if it has none. @throws `OSError` `ENOTFOUND`,
 * `EAI_AGAIN`.
 */
async function resolveTarget(given: Address): Promise<readonly [Endpoint, ...Endpoint[]]> {
  if (isEndpoint(given)) return [given];
  const stack = kernelStack();
  let missing = new OSError("ENOTFOUND", { address: given.host });
  for (const family of [AF_INET, AF_INET6] as const) {
    try {
      const [first, ...others] = await stack.resolve(given.host, family);
      const at = (endpoint: Endpoint): Endpoint => endpoint.withPort(given.port) as Endpoint;
      if (first) return [at(first), ...others.map(at)];
    } catch (error) {
      if (!(error instanceof OSError && error.code === "ENOTFOUND")) throw error;
      missing = error;
    }
  }
  throw missing;
}

function refuseItself(found: Endpoint, own: Endpoint): void {
  if (!ownAddresses(own)(found)) return;
  const text = "the target is the proxy itself: its datagrams would go round without end";
  throw new OSError("EINVAL", { syscall: "proxy", address: found.host, port: found.port, text });
}
