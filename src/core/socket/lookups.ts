import { Address, type Endpoint, type Family } from "../address/address.js";
import { AF_INET, AF_INET6 } from "../constants.js";
import type { Driver, Stack } from "../driver/driver.js";
import { brokenContract, toOSError } from "../driver/driver-errors.js";
import { v6OnlyOption } from "../driver/options.js";
import { OSError } from "../errors/errors.js";

/** Looks up the addresses of names for one socket. `close()` cancels lookups that are pending. */
export class Lookups {
  readonly #stack: Stack;
  readonly #driver: Driver;
  readonly #family: Family;
  /** Rejects each pending lookup. */
  #pending: Set<(reason: OSError) => void> | undefined;
  #closed = false;

  constructor(stack: Stack, driver: Driver, family: Family) {
    this.#stack = stack;
    this.#driver = driver;
    this.#family = family;
  }

  /**
   * The endpoint of an address whose host is a name.
   *
   * @throws (rejects) `OSError` that names the host; `ECANCELED` if the socket is closed first.
   */
  endpoint(address: Address, syscall: string): Promise<Endpoint> {
    return this.resolve(address.host).then(
      (found) => found.withPort(address.port) as Endpoint,
      (thrown: unknown) => {
        const error = toOSError(thrown, syscall);
        throw new OSError(error.code, { syscall, address: address.host, port: address.port, cause: error });
      },
    );
  }

  /** The first address of a name. */
  resolve(host: string): Promise<Endpoint> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw closedFirst();
      const pending = (this.#pending ??= new Set());
      pending.add(reject);
      this.#first(host)
        .then(resolve, reject)
        .finally(() => pending.delete(reject));
    });
  }

  /** Rejects every pending lookup and every later one with `ECANCELED`. */
  close(): void {
    this.#closed = true;
    for (const reject of this.#pending ?? []) reject(closedFirst());
  }

  async #first(host: string): Promise<Endpoint> {
    const [first] = await this.#addresses(host);
    if (first) return first;
    throw brokenContract(`resolve() found no address of ${host}, and did not say so`);
  }

  /**
   * An IPv6 socket also reaches a name that has only IPv4 addresses, through `::ffff:a.b.c.d` (`AI_V4MAPPED`,
   * getaddrinfo(3)).
   */
  async #addresses(host: string): Promise<readonly Endpoint[]> {
    const triesIPv4 = this.#family === AF_INET6 && this.#driver.getOption(v6OnlyOption) !== 1;
    try {
      return await this.#stack.resolve(host, this.#family);
    } catch (error) {
      if (!triesIPv4 || !(error instanceof OSError) || error.code !== "ENOTFOUND") throw error;
      const found = await this.#stack.resolve(host, AF_INET);
      return found.map((each) => new Address(`::ffff:${each.host}`, each.port) as Endpoint);
    }
  }
}

function closedFirst(): OSError {
  return new OSError("ECANCELED", { text: "the socket was closed first" });
}
