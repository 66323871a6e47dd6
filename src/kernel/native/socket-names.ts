import {
  type Endpoint,
  type Family,
  destinationNumber,
  maxDestinations,
  startNumbering,
} from "../../core/address/address.js";
import { noInterfaceText } from "../../core/address/scopes.js";
import { sharedAddress } from "../../core/address/shared-addresses.js";
import { assert } from "../../core/assert.js";
import { AF_INET, AF_INET6 } from "../../core/constants.js";
import { littleEndian } from "../../core/driver/bytes.js";
import { OSError, type OSErrorDetails } from "../../core/errors/errors.js";
import { formatLiteral, parseLiteral } from "../../core/ip.js";
import type { Addon } from "./addon.js";
import { layout } from "./layout.js";

const { name: at, arrays } = layout;
/** The slots before this one are written again for each send. */
const firstKeptSlot = arrays.datagrams;
/** The largest number of endpoints in each cache. After that the cache starts again. */
const maxKnown = 4096;
/** The index of an interface is an `int` in the kernel. */
const maxIndex = 0x7fff_ffff;

/** Converts endpoints to socket names, `struct sockaddr_in` and `sockaddr_in6`, and back. */
export class Names {
  readonly #addon: Addon;
  /** The bytes of `Addon.sendBatch.names`. */
  readonly #slotBytes: Uint8Array;
  /** By destination number, the slot of the name in `Addon.sendBatch.names`; 0 if it has none. */
  readonly #slots = new Int32Array(maxDestinations);
  #numberingRound = 0;
  #nextSlot: number = firstKeptSlot;
  #known = new Map<string, Endpoint>();
  /** The names of endpoints without a scope. */
  #encoded = new Map<Endpoint, Uint8Array>();
  /** The first two words of the IPv4 name of the source that was read last: family and port, and address. */
  #lastPort = 0;
  #lastAddress = 0;
  #last: Endpoint | undefined;

  constructor(addon: Addon) {
    const { names } = addon.sendBatch;
    this.#addon = addon;
    this.#slotBytes = new Uint8Array(names.buffer, names.byteOffset, names.byteLength);
  }

  /**
   * Returns the socket name of an endpoint: 16 bytes for IPv4, 28 for IPv6.
   *
   * @throws `OSError` `ENODEV` if no interface has the name of the endpoint's scope.
   */
  write(endpoint: Endpoint, syscall: string): Uint8Array {
    const known = this.#encoded.get(endpoint);
    if (known) return known;
    const name = this.#encode(endpoint, syscall);
    // The index of an interface may change.
    if (endpoint.scope !== undefined) return name;
    if (this.#encoded.size === maxKnown) this.#encoded = new Map();
    this.#encoded.set(endpoint, name);
    return name;
  }

  /** Writes the name of an endpoint into a slot of `Addon.sendBatch.names`; fails as `write` does. */
  writeToSlot(slot: number, endpoint: Endpoint, syscall: string): void {
    this.#slotBytes.set(this.write(endpoint, syscall), slot * at.bytes);
  }

  /** Makes room for the names of one send, so that `slotOf` returns different slots for all of them. */
  startSend(datagrams: number): void {
    const round = startNumbering();
    if (round === this.#numberingRound && this.#nextSlot + datagrams <= arrays.names) return;
    this.#numberingRound = round;
    this.#nextSlot = firstKeptSlot;
    this.#slots.fill(0);
  }

  /** Returns the slot of a name that stays for later sends. The endpoint must have no scope: an interface's index may change. */
  slotOf(endpoint: Endpoint): number {
    const destination = destinationNumber(endpoint);
    const known = this.#slots[destination] as number;
    if (known > 0) return known;
    const slot = this.#nextSlot++;
    assert(slot < arrays.names, "startSend made room for the names of a send");
    this.writeToSlot(slot, endpoint, "sendto");
    this.#slots[destination] = slot;
    return slot;
  }

  /** Returns the endpoint of the socket name at `start`. For the same peer, it is usually the same object. */
  read(names: Buffer, start = 0): Endpoint {
    const key = names.toString("latin1", start, start + nameLength(names, start));
    return this.#known.get(key) ?? this.#remember(key, this.#decode(names, start));
  }

  /** Returns the sender of message `index` of `Addon.receiveBatch`, as `read` does. */
  readSource(index: number): Endpoint {
    const { names, nameWords } = this.#addon.receiveBatch;
    const start = index * (at.bytes / 4);
    const port = nameWords[start] as number;
    const address = nameWords[start + at.ipv4Address / 4] as number;
    if (this.#last && port === this.#lastPort && address === this.#lastAddress) return this.#last;
    const endpoint = this.read(names, index * at.bytes);
    this.#last = endpoint.family === AF_INET ? endpoint : undefined;
    this.#lastPort = port;
    this.#lastAddress = address;
    return endpoint;
  }

  /**
   * Returns the index of an interface, from its name or number.
   *
   * @param address the address of the call, for the error.
   * @throws `OSError` `ENODEV`.
   */
  interfaceIndex(given: string, syscall: string, address?: string): number {
    const index = this.#indexOf(given);
    if (index === undefined) throw noInterface(given, { syscall, address });
    return index;
  }

  /** The name of an interface; `""` for index 0; the index as text if no interface has it. */
  interfaceName(index: number): string {
    return index === 0 ? "" : this.#addon.interfaceName(index) || String(index);
  }

  #remember(key: string, endpoint: Endpoint): Endpoint {
    if (this.#known.size === maxKnown) this.#known = new Map();
    this.#known.set(key, endpoint);
    return endpoint;
  }

  #encode(endpoint: Endpoint, syscall: string): Uint8Array<ArrayBuffer> {
    const { host, port, family, scope } = endpoint;
    const bytes = parseLiteral(host)?.bytes;
    if (!bytes) throw new Error(`the host of an endpoint must be an IP address, not ${host}`);
    const name = new Uint8Array(family === AF_INET ? at.ipv4Bytes : at.bytes);
    const view = new DataView(name.buffer);
    view.setUint16(at.family, family, littleEndian);
    view.setUint16(at.port, port);
    name.set(bytes, family === AF_INET ? at.ipv4Address : at.ipv6Address);
    if (scope !== undefined)
      view.setUint32(at.scope, this.#scopeIndex(endpoint, scope, syscall), littleEndian);
    return name;
  }

  #scopeIndex({ host, port }: Endpoint, scope: string, syscall: string): number {
    const index = this.#indexOf(scope);
    if (index !== undefined && index > 0) return index;
    throw noInterface(scope, { syscall, address: host, port });
  }

  /** The index of an interface, from its name or number. Only the number 0 has the index 0. */
  #indexOf(given: string): number | undefined {
    if (!/^\d+$/.test(given)) return this.#addon.interfaceIndex(given) || undefined;
    const index = Number(given);
    return index <= maxIndex ? index : undefined;
  }

  #decode(names: Buffer, start: number): Endpoint {
    const view = new DataView(names.buffer, names.byteOffset + start, at.bytes);
    const port = view.getUint16(at.port);
    const family = view.getUint16(at.family, littleEndian) as Family;
    const address = start + (family === AF_INET6 ? at.ipv6Address : at.ipv4Address);
    const literal = formatLiteral(names.subarray(address, address + (family === AF_INET6 ? 16 : 4)));
    if (family !== AF_INET6) return sharedAddress(literal, port) as Endpoint;
    const index = view.getUint32(at.scope, littleEndian);
    return sharedAddress(index === 0 ? literal : `${literal}%${this.interfaceName(index)}`, port) as Endpoint;
  }
}

function noInterface(given: string, details: OSErrorDetails): OSError {
  return new OSError("ENODEV", { ...details, text: noInterfaceText(given) });
}

function nameLength(names: Uint8Array, start: number): number {
  const family = names[start + at.family + (littleEndian ? 0 : 1)];
  // The last 8 bytes of a sockaddr_in have no meaning.
  return family === AF_INET6 ? at.bytes : at.ipv4Address + 4;
}
