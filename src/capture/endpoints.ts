import { Address, type Endpoint } from "../core/address/address.js";
import { formatLiteral } from "../core/ip.js";

/** Places of the cache. It is a power of two. */
const places = 4096;

/** Makes addresses of bytes. Equal addresses that come again soon are the same object. */
export class Endpoints {
  readonly #bytes: (Uint8Array | undefined)[] = new Array<undefined>(places).fill(undefined);
  readonly #endpoints: (Endpoint | undefined)[] = new Array<undefined>(places).fill(undefined);

  /** Returns the address of the 4 or 16 bytes at `start`, with a port. */
  of(bytes: Uint8Array, start: number, length: number, port: number): Endpoint {
    let hash = port;
    for (let at = start + length - 4; at < start + length; at++)
      hash = Math.imul(hash, 31) + (bytes[at] ?? 0);
    const place = (hash ^ (hash >>> 12)) & (places - 1);
    const known = this.#endpoints[place];
    if (known?.port === port && isEqual(this.#bytes[place], bytes, start, length)) return known;
    const own = bytes.slice(start, start + length);
    const made = new Address(formatLiteral(own), port) as Endpoint;
    this.#bytes[place] = own;
    this.#endpoints[place] = made;
    return made;
  }
}

function isEqual(own: Uint8Array | undefined, bytes: Uint8Array, start: number, length: number): boolean {
  if (own?.length !== length) return false;
  for (let at = 0; at < length; at++) if (own[at] !== bytes[start + at]) return false;
  return true;
}
