/** Messages of a stream as datagrams. Anybody can publish to a subject, so nothing of a message is trusted. */

import { Buffer } from "node:buffer";

import type { Msg, MsgHdrs } from "@nats-io/transport-node";

import { Address, type Endpoint, isEndpoint } from "../core/address/address.js";
import { OSError } from "../core/errors/errors.js";
import type { DatagramMetadata, Replier } from "../core/receive/datagram.js";
import { maxBundleDatagrams, readRecords } from "./bundle.js";
import { type StreamPosition, StoredDatagram } from "./stored-datagram.js";
import { peerToken } from "./subjects.js";

const prefix = "Datagram-";
/** The largest number of addresses whose texts are kept. When they are full, all are forgotten. */
const maxAddresses = 4096;
/** Bytes of the longest payload of a datagram and of a whole message, and the largest values of the other numbers. */
const maxSize = 65_535;
const maxMessageSize = 2 << 20;
const maxChannel = 255;
const maxTimestamp = 2n ** 64n - 1n;
const maxLost = 2 ** 32;
/** Characters of the longest name of an interface, with escapes. Linux has names of up to 15 bytes. */
const maxInterfaceLength = 192;

/** The headers of a bundle. Those of single datagrams are in its records. */
const bundleHeaders: ReadonlySet<string> = new Set(["Bundle", "Destination", "Interface"]);

/** For whole messages, and for subjects that are not below the prefix of the reading. */
const noReplies: Replier = {
  answer: () =>
    Promise.reject(
      new OSError("ENOTSUP", {
        syscall: "reply",
        text: "it is a whole message, or its subject is none of the gateways with this prefix",
      }),
    ),
};

/** Reads the messages that gateways have stored. */
export class MessageDecoder {
  readonly #addresses = new Map<string, Endpoint>();
  readonly #tokens = new Map<Endpoint, string>();
  readonly #repliesTo: (subject: string) => Replier | undefined;

  /** @param repliesTo finds what answers the datagrams of a subject, if anything does. */
  constructor(repliesTo: (subject: string) => Replier | undefined = () => undefined) {
    this.#repliesTo = repliesTo;
  }

  /** Returns the datagrams of a message: several if it is a bundle, none if no gateway has written it like this. */
  decode(
    message: Msg,
    position: StreamPosition,
    missingBefore: number | undefined,
  ): readonly StoredDatagram[] {
    const headers = headersOf(message);
    if (headers?.Bundle !== undefined) return this.#bundle(headers, message, position, missingBefore) ?? [];
    const datagram = this.#single(headers, message, position, missingBefore);
    return datagram ? [datagram] : [];
  }

  #single(
    headers: DatagramHeaders | undefined,
    message: Msg,
    position: StreamPosition,
    missingBefore: number | undefined,
  ): StoredDatagram | undefined {
    const channel = numberOf(headers?.Channel, maxChannel);
    const size = numberOf(headers?.Size, channel === undefined ? maxSize : maxMessageSize);
    const source = this.#address(headers?.Source);
    const { data } = message;
    if (!headers || size === undefined || !source || data.length > size) return undefined;
    if ((channel === undefined) !== (headers.Channel === undefined)) return undefined;
    // A message is always whole.
    if (channel !== undefined && data.length < size) return undefined;
    if (!this.#isSubjectOf(message.subject, source)) return undefined;
    const metadata = this.#metadata(headers, data.length < size);
    if (!metadata) return undefined;
    // A view. Its memory is a piece that the connection has read, with other messages.
    const payload = Buffer.from(data.buffer as ArrayBuffer, data.byteOffset, data.length);
    const replies = (channel === undefined ? this.#repliesTo(message.subject) : undefined) ?? noReplies;
    return new StoredDatagram(payload, source, size, metadata, position, missingBefore, channel, 0, replies);
  }

  /** Returns the datagrams of a bundle; `undefined` if one of them or the bundle is impossible. */
  #bundle(
    headers: DatagramHeaders,
    message: Msg,
    position: StreamPosition,
    missingBefore: number | undefined,
  ): StoredDatagram[] | undefined {
    if (!/\.\d{1,5}$/.test(message.subject)) return undefined;
    if (Object.keys(headers).some((name) => !bundleHeaders.has(name))) return undefined;
    const common = this.#metadata(headers, false);
    const records = readRecords(message.data);
    if (!common || records?.length !== numberOf(headers.Bundle, maxBundleDatagrams)) return undefined;
    const replies = this.#repliesTo(message.subject) ?? noReplies;
    const datagrams: StoredDatagram[] = [];
    for (const { source: text, size, timestamp, lostBefore, data } of records ?? []) {
      const source = this.#address(text);
      if (!source) return undefined;
      const metadata = { ...common, timestamp, lostBefore };
      const [index, missing] = [datagrams.length, datagrams.length === 0 ? missingBefore : 0];
      datagrams.push(
        new StoredDatagram(data, source, size, metadata, position, missing, undefined, index, replies),
      );
    }
    return datagrams;
  }

  /** Returns the metadata; `undefined` if one of them has an impossible value. */
  #metadata(headers: DatagramHeaders, isTruncated: boolean): DatagramMetadata | undefined {
    const destination = this.#address(headers.Destination);
    const by = headers.Interface === undefined ? undefined : unescaped(headers.Interface);
    const timestamp = timestampOf(headers.Timestamp);
    const lostBefore = numberOf(headers["Lost-Before"], maxLost);
    const isGood =
      (destination === undefined) === (headers.Destination === undefined) &&
      (by === undefined) === (headers.Interface === undefined) &&
      (timestamp === undefined) === (headers.Timestamp === undefined) &&
      (lostBefore === undefined) === (headers["Lost-Before"] === undefined) &&
      headers.Truncated === (isTruncated ? "true" : undefined);
    if (!isGood) return undefined;
    return {
      destination,
      interface: by,
      ttl: undefined,
      tos: undefined,
      timestamp,
      lostBefore,
      answer: undefined,
    };
  }

  /** Whether a subject is that of a peer, or of a bucket. */
  #isSubjectOf(subject: string, source: Endpoint): boolean {
    const last = subject.slice(subject.lastIndexOf(".") + 1);
    if (/^\d{1,5}$/.test(last)) return true;
    let token = this.#tokens.get(source);
    if (token === undefined) {
      if (this.#tokens.size >= maxAddresses) this.#tokens.clear();
      this.#tokens.set(source, (token = peerToken(source)));
    }
    return last === token;
  }

  #address(value: string | undefined): Endpoint | undefined {
    if (value === undefined) return undefined;
    const known = this.#addresses.get(value);
    if (known) return known;
    // The first % of an address is before its zone, in which others are escapes.
    const [host = "", ...zone] = value.split(/(?<=^[^%]*%)/);
    const address = parseAddress(host + (zone.length === 0 ? "" : (unescaped(zone.join("")) ?? "\n")));
    if (!address) return undefined;
    if (this.#addresses.size >= maxAddresses) this.#addresses.clear();
    this.#addresses.set(value, address);
    return address;
  }
}

/** The values of the headers whose names begin with `Datagram-`. */
type DatagramHeaders = Readonly<Partial<Record<string, string>>>;

/** Reads the headers that the gateway writes. `undefined` if one of them is there several times, or if they are no headers. */
function headersOf(message: Msg): DatagramHeaders | undefined {
  let all: MsgHdrs | undefined;
  try {
    // The client decodes them now, and throws for names that no header can have.
    all = message.headers;
  } catch {
    return undefined;
  }
  const found = Object.create(null) as Partial<Record<string, string>>;
  for (const [name, values] of all ?? []) {
    if (!name.startsWith(prefix)) continue;
    if (values.length !== 1) return undefined;
    found[name.slice(prefix.length)] = values[0];
  }
  return found;
}

function numberOf(value: string | undefined, max: number): number | undefined {
  return value !== undefined && /^\d{1,10}$/.test(value) && Number(value) <= max ? Number(value) : undefined;
}

function timestampOf(value: string | undefined): bigint | undefined {
  if (value === undefined || !/^\d{1,20}$/.test(value)) return undefined;
  const timestamp = BigInt(value);
  return timestamp <= maxTimestamp ? timestamp : undefined;
}

function parseAddress(value: string): Endpoint | undefined {
  try {
    const address = Address.parse(value);
    return isEndpoint(address) ? address : undefined;
  } catch {
    // No address.
    return undefined;
  }
}

/** The text that a gateway has escaped: `%` and two hex digits are a byte of UTF-8. */
function unescaped(value: string): string | undefined {
  if (!/^[!-~]+$/.test(value) || value.length > maxInterfaceLength) return undefined;
  if (!/%[0-9a-f]{2}/.test(value)) return value;
  const bytes = value.replaceAll(/%([0-9a-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, "latin1").toString();
}
