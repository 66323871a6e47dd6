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

/** Milliseconds between two questions about a target that is gone: a flood of ICMP errors is one question. */
const askAgainMs = 1000;

/** A target: what was named, and the address that it has now. */
export class Target {
  /** As it was given: a name, or an address. */
  readonly given: Address;
  /** What ICMP said of it, by code. */
  readonly unreachable: Counts = new Counts();
  /** The address that this was last said of. */
  lastUnreachable: Endpoint | undefined;
  moves = 0;
  movedClients = 0;
  failures = 0;
  readonly #own: Endpoint;
  #current: Endpoint;
  #lastError: string | undefined;
  /** When it may be asked for anew. */
  #askAt = 0;

  private constructor(given: Address, current: Endpoint, own: Endpoint) {
    this.given = given;
    this.#current = current;
    this.#own = own;
  }

  /**
   * The target, once there is a way to it.
   *
   * @param own the address of the relay.
   * @throws `OSError` as `connect` does; `EINVAL` where the target is the relay itself.
   */
  static async reach(given: Address, own: Endpoint): Promise<Target> {
    const [first] = await resolveTarget(given);
    await using s = socket(first.family, SOCK_DGRAM);
    await s.connect(first);
    const current = s.getpeername();
    refuseItself(current, own);
    return new Target(given, current, own);
  }

  /** Its address, as far as is known now. */
  get current(): Endpoint {
    return this.#current;
  }

  get isName(): boolean {
    return !isEndpoint(this.given);
  }

  /** Its address for a new client: what the resolver says, which remembers for a while. That of before, if that fails. */
  async find(): Promise<Endpoint> {
    await this.#ask();
    return this.#current;
  }

  /**
   * Its address anew, after ICMP has said that nobody is at `gone`.
   *
   * @returns the new address; `undefined` if `gone` is still an address of it, or it is too soon to ask again.
   */
  async findAgain(gone: Endpoint, nowMs: number): Promise<Endpoint | undefined> {
    if (!this.isName || nowMs < this.#askAt) return undefined;
    this.#askAt = nowMs + askAgainMs;
    forget(this.given.host);
    const found = await this.#ask();
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

  /** All its addresses; nothing if the question fails, or the answer is the relay itself: then all stays as it was. */
  async #ask(): Promise<readonly Endpoint[]> {
    try {
      const found = await resolveTarget(this.given);
      const [first] = found;
      refuseItself(first, this.#own);
      // Names with several addresses come with another one first each time.
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

/** A socket for a target; it becomes its own by `connect`. @throws `OSError` `EMFILE`. */
export function socketFor(target: Endpoint): Socket {
  // How datagrams came to it, nobody asks: that leaves more time for more of them.
  return socket(target.family, SOCK_DGRAM, { metadata: false });
}

/** The addresses of a target, those over IPv4 if there are any. @throws `OSError` `ENOTFOUND`, `EAI_AGAIN`. */
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
