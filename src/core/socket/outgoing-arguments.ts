/** The datagrams that `sendMany` and `sendmsg` take, and their checks. This file does not use a socket. */

import {
  Address,
  type AddressLike,
  type Endpoint,
  type Family,
  isEndpoint,
  otherFamily,
} from "../address/address.js";
import type { Ancillary } from "../driver/ancillary.js";
import { OSError, outOfRange, wholeNumber, wrongType } from "../errors/errors.js";
import { anyLimit } from "../send/failure.js";
import { fieldsOf, refuseUnknown } from "../errors/fields.js";
import { parseLiteral } from "../ip.js";
import type { Borrowed } from "../driver/outbound.js";
import { type Data, filledBytes, sizeOf, toBytes } from "../driver/payload.js";
import { checkInterface } from "../driver/options.js";
import { destinationFor } from "./arguments.js";

const { slice } = Array.prototype;

/** One datagram for `sendMany` and `sendmsg`. If a field is missing, the socket's option decides. */
export interface OutgoingDatagram {
  /** The payload. */
  readonly data: Data;
  /** The destination. Without it, the datagram goes to the connected peer. */
  readonly address?: AddressLike | undefined;
  /** The source address, one of this host, as an IP literal such as `"10.0.0.2"`. The port is the socket's. `IP_PKTINFO`. */
  readonly source?: string | undefined;
  /** The name or number of the network interface through which the datagram leaves. `IP_PKTINFO`. */
  readonly interface?: string | number | undefined;
  /** The TTL or hop limit, 1 to 255. `IP_TTL`, `IPV6_HOPLIMIT`. */
  readonly ttl?: number | undefined;
  /** 0 to 255: DSCP in the upper six bits, ECN in the lower two. `IP_TOS`, `IPV6_TCLASS`. */
  readonly tos?: number | undefined;
  /** 0 to 3: only the lower two bits of `tos` (RFC 3168). */
  readonly ecn?: number | undefined;
  /**
   * Sends the datagram without fragments and ignores the known path MTU, to measure it. The datagram fails with `EMSGSIZE`
   * only above the MTU of the first link, and is lost if the MTU of a later link is too small. `IP_PMTUDISC_PROBE`.
   * @default false
   */
  readonly probe?: boolean | undefined;
}

const outgoingFields = fieldsOf<OutgoingDatagram>({
  data: true,
  address: true,
  source: true,
  interface: true,
  ttl: true,
  tos: true,
  ecn: true,
  probe: true,
});

/**
 * Checks the datagrams of a `sendMany`.
 *
 * @param shared the destination of payloads without an address; `null` is the connected peer.
 * @throws the error of the first bad item, with its `index`.
 */
export function checkOutgoing(
  items: Iterable<Data | OutgoingDatagram>,
  shared: Address | null,
  family: Family,
): Borrowed {
  const isList = typeof items === "object" && items !== null && Symbol.iterator in items;
  // The items of a Buffer are numbers: somebody meant it as one payload.
  if (!isList || ArrayBuffer.isView(items)) {
    throw wrongType("the first argument", "an array of payloads or of { data, address }", items);
  }
  const copy = copyOfArray(items);
  const payloadsOnly = copy && checkPayloads(copy, shared);
  if (payloadsOnly) return payloadsOnly;
  // Growing the arrays would cost more than everything else in this function.
  const likely = copy ? copy.length : 0;
  const payloads = new Array<Uint8Array>(likely);
  let tos: (Address | null)[] | undefined;
  let ancillaries: (Ancillary | undefined)[] | undefined;
  let lengths: Int32Array = new Int32Array(likely);
  let [count, ready] = [0, true];
  let first: Address | null = shared;
  for (const item of copy ?? items) {
    let bytes = filledBytes(item);
    let payload = item as Uint8Array;
    let to = shared;
    if (bytes === 0) {
      try {
        let data = item as Data;
        if (isOutgoing(item)) {
          const { address } = item;
          data = item.data;
          to = address === undefined ? null : destinationFor(address, family, "sendMany");
          const own = checkAncillary(item, family, "sendMany");
          if (own) (ancillaries ??= [])[count] = own;
        }
        payload = toBytes(data);
        bytes = sizeOf(payload);
      } catch (error) {
        if (!(error instanceof Error) || !Object.isExtensible(error)) throw error;
        throw Object.assign(error, { index: count, sent: 0 });
      }
    }
    if (count === lengths.length) lengths = longer(lengths);
    payloads[count] = payload;
    if (count === 0) first = to;
    if (tos) tos[count] = to;
    else if (to !== first) {
      tos = new Array<Address | null>(Math.max(likely, count)).fill(first, 0, count);
      tos[count] = to;
    }
    lengths[count] = bytes;
    if (bytes > anyLimit || (to !== null && !isEndpoint(to))) ready = false;
    count++;
  }
  return { count, payloads, peer: first, peers: tos, ancillaries, lengths, ready };
}

/**
 * Returns the ancillary data of an outgoing datagram; `undefined` if it has none. Reads each field once.
 *
 * @throws `RangeError` for an unknown field or a value out of range; `TypeError`; `OSError` `EAFNOSUPPORT`.
 */
export function checkAncillary(
  item: OutgoingDatagram,
  family: Family,
  syscall: string,
): Ancillary | undefined {
  for (const field in item) {
    if (!isOutgoingField(field)) refuseUnknown(item, outgoingFields, "message: a field");
  }
  const { source, interface: at, ttl, tos: byte, ecn: bits, probe } = item;
  const named =
    source !== undefined ||
    at !== undefined ||
    ttl !== undefined ||
    byte !== undefined ||
    bits !== undefined ||
    probe !== undefined;
  if (!named) return undefined;
  const tos = byte === undefined ? undefined : wholeNumber("tos", byte, 0, 255);
  const ecn = bits === undefined ? undefined : wholeNumber("ecn", bits, 0, 3);
  if (probe !== undefined && typeof probe !== "boolean") throw wrongType("probe", "a boolean", probe);
  return {
    source: source === undefined ? undefined : checkSource(source, family, syscall),
    interface: at === undefined ? undefined : checkOutgoingInterface(at),
    ttl: ttl === undefined ? undefined : wholeNumber("ttl", ttl, 1, 255),
    tos: tos === undefined || ecn === undefined ? tos : (tos & 0xfc) | ecn,
    ecn: tos === undefined ? ecn : undefined,
    probe: probe === true,
  };
}

/** Returns a copy of an array, much faster than by iteration; `undefined` for another iterable, or a class of the program. */
function copyOfArray<Item>(items: Iterable<Item>): Item[] | undefined {
  if (!Array.isArray(items) || Object.getPrototypeOf(items) !== Array.prototype) return undefined;
  if (items[Symbol.iterator] !== Array.prototype[Symbol.iterator]) return undefined;
  return slice.call(items) as Item[];
}

/** Checks items that are filled payloads; `undefined` if another item is among them. The result keeps the array. */
function checkPayloads(items: unknown[], peer: Address | null): Borrowed | undefined {
  const count = items.length;
  const lengths = new Int32Array(count);
  let ready = peer === null || isEndpoint(peer);
  for (let index = 0; index < count; index++) {
    const bytes = filledBytes(items[index]);
    if (bytes === 0) return undefined;
    if (bytes > anyLimit) ready = false;
    lengths[index] = bytes;
  }
  const payloads = items as Uint8Array[];
  return { count, payloads, peer, peers: undefined, ancillaries: undefined, lengths, ready };
}

/** Called for each field of each datagram of a `sendMany`: takes 3 ns. A search of the list takes five times as long. */
function isOutgoingField(field: string): boolean {
  switch (field) {
    case "data":
    case "address":
    case "source":
    case "interface":
    case "ttl":
    case "tos":
    case "ecn":
    case "probe":
      return true;
    default:
      return false;
  }
}

/** Packet info has the index of the interface. An address is refused: it would need a lookup for each datagram. */
function checkOutgoingInterface(at: unknown): string {
  const given = checkInterface("interface", at);
  if (parseLiteral(given))
    throw outOfRange("interface", "the name or number of an interface (source is the address)", given);
  return given;
}

function checkSource(source: unknown, family: Family, syscall: string): Endpoint {
  if (typeof source !== "string") {
    throw wrongType("source", "an IP address of this host as a string (the host of an Address)", source);
  }
  const address = new Address(source, 0);
  if (!isEndpoint(address)) throw outOfRange("source", "an IP address of this host", source);
  if (address.family === family) return address;
  // The fields `address` and `port` of an error are the destination.
  const text = `source ${address.host}: ${otherFamily(family, address.host)}`;
  throw new OSError("EAFNOSUPPORT", { syscall, text });
}

function longer(numbers: Int32Array): Int32Array {
  const copy = new Int32Array(Math.max(64, numbers.length * 2));
  copy.set(numbers);
  return copy;
}

function isOutgoing(item: Data | OutgoingDatagram): item is OutgoingDatagram {
  return typeof item === "object" && item !== null && "data" in item;
}
