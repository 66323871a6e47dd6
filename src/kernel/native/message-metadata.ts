import type { Endpoint } from "../../core/address/address.js";
import { sharedAddress } from "../../core/address/shared-addresses.js";
import type { Ancillary } from "../../core/driver/ancillary.js";
import { AF_INET, AF_INET6 } from "../../core/constants.js";
import type { Metadata } from "../../core/driver/metadata.js";
import { formatLiteral, isMulticast } from "../../core/ip.js";
import { layout } from "./layout.js";
import type { Names } from "./socket-names.js";

const { metadata: at } = layout;

/** What metadata needs of its socket, which may be closed by then. */
interface SocketFacts {
  readonly names: Names;
  readonly family: number;
  readonly port: number;
}

/** Reads the metadata of the messages of one socket. */
export class MetadataReader {
  readonly #names: Names;
  readonly #family: number;
  readonly #localPort: () => number;
  #host: SocketFacts | undefined;
  #packetInfo: PacketInfo | undefined;
  /** Datagrams dropped since the socket was opened, as far as messages have told. */
  drops = 0;
  /** Datagrams dropped by the former kernel sockets: the count of each one starts at 0. */
  #before = 0;

  /** @param localPort returns the port of the socket. It is called after the first message, so the socket has one. */
  constructor(names: Names, family: number, localPort: () => number) {
    this.#names = names;
    this.#family = family;
    this.#localPort = localPort;
  }

  /** To be called when another kernel socket takes over. @param drops datagrams that all sockets before it dropped. */
  startAgain(drops: number): void {
    this.#before = drops;
  }

  /** The metadata of message `index`. */
  read(metadata: Int32Array, index: number): Metadata {
    const start = index * at.words;
    this.#host ??= { names: this.#names, family: this.#family, port: this.#localPort() };
    if (!this.#packetInfo?.matches(metadata, start))
      this.#packetInfo = new PacketInfo(this.#host, metadata, start);
    const drops = this.#before + ((metadata[start + at.drops] ?? 0) >>> 0);
    const lostBefore = drops > this.drops ? drops - this.drops : 0;
    if (lostBefore > 0) this.drops = drops;
    return new MessageMetadata(
      this.#packetInfo,
      metadata[start + at.ttl] ?? -1,
      metadata[start + at.tos] ?? -1,
      (metadata[start + at.seconds] ?? 0) >>> 0,
      metadata[start + at.nanoseconds] ?? 0,
      lostBefore,
    );
  }
}

/** The packet info of messages with the same destination and interface. It is decoded when it is first asked for. */
class PacketInfo {
  readonly #host: SocketFacts;
  readonly #numbers: Int32Array;
  #destination: Endpoint | undefined;
  #interface: string | undefined;
  #answer: Ancillary | undefined;

  constructor(host: SocketFacts, metadata: Int32Array, start: number) {
    this.#host = host;
    this.#numbers = metadata.slice(start, start + at.drops);
  }

  matches(metadata: Int32Array, start: number): boolean {
    const own = this.#numbers;
    const { destination } = at;
    // Not a loop: V8 takes several times as long to compile one.
    return (
      own[at.interface] === metadata[start + at.interface] &&
      own[at.family] === metadata[start + at.family] &&
      own[destination] === metadata[start + destination] &&
      own[destination + 1] === metadata[start + destination + 1] &&
      own[destination + 2] === metadata[start + destination + 2] &&
      own[destination + 3] === metadata[start + destination + 3] &&
      own[at.source] === metadata[start + at.source]
    );
  }

  get interface(): string | undefined {
    const index = this.#numbers[at.interface] ?? 0;
    if (index === 0) return undefined;
    return (this.#interface ??= this.#host.names.interfaceName(index));
  }

  get destination(): Endpoint | undefined {
    return (this.#destination ??= this.#readDestination());
  }

  get answer(): Ancillary | undefined {
    const index = this.#numbers[at.interface] ?? 0;
    if (index === 0) return undefined;
    if (this.#answer) return this.#answer;
    const source = this.#source();
    // An answer leaves through the interface only if its source address is link-local or unknown. In other cases the routes
    // choose: a datagram to an address of this host may arrive on an interface that has no route back.
    const by = source && !isLinkLocal(source) ? undefined : String(index);
    return (this.#answer = {
      source,
      interface: by,
      ttl: undefined,
      tos: undefined,
      ecn: undefined,
      probe: false,
    });
  }

  #readDestination(): Endpoint | undefined {
    const bytes = this.#bytes(at.destination);
    return bytes && this.#endpoint(bytes, this.#host.port);
  }

  /** The source address of an answer. If the destination is a multicast or broadcast address, IPv4 has another address for it. */
  #source(): Endpoint | undefined {
    const bytes = this.#bytes(this.#numbers[at.family] === AF_INET ? at.source : at.destination);
    return bytes && !isMulticast(bytes) ? this.#endpoint(bytes, 0) : undefined;
  }

  #bytes(from: number): Uint8Array | undefined {
    const family = this.#numbers[at.family];
    if (family === 0) return undefined;
    const { buffer } = this.#numbers;
    return new Uint8Array(buffer as ArrayBuffer, from * 4, family === AF_INET ? 4 : 16);
  }

  #endpoint(bytes: Uint8Array, port: number): Endpoint {
    const literal = formatLiteral(bytes);
    if (bytes.length === 4 && this.#host.family === AF_INET6) {
      return sharedAddress(`::ffff:${literal}`, port) as Endpoint;
    }
    const scoped = bytes.length === 16 && bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80;
    return sharedAddress(scoped ? `${literal}%${this.interface}` : literal, port) as Endpoint;
  }
}

class MessageMetadata implements Metadata {
  readonly #packetInfo: PacketInfo;
  readonly #ttl: number;
  readonly #tos: number;
  readonly #seconds: number;
  readonly #nanoseconds: number;
  readonly lostBefore: number;
  #timestamp: bigint | undefined;

  constructor(
    packetInfo: PacketInfo,
    ttl: number,
    tos: number,
    seconds: number,
    nanoseconds: number,
    lostBefore: number,
  ) {
    this.#packetInfo = packetInfo;
    this.#ttl = ttl;
    this.#tos = tos;
    this.#seconds = seconds;
    this.#nanoseconds = nanoseconds;
    this.lostBefore = lostBefore;
  }

  get destination(): Endpoint | undefined {
    return this.#packetInfo.destination;
  }

  get interface(): string | undefined {
    return this.#packetInfo.interface;
  }

  get ttl(): number | undefined {
    return known(this.#ttl);
  }

  get tos(): number | undefined {
    return known(this.#tos);
  }

  get timestamp(): bigint | undefined {
    if (this.#seconds === 0) return undefined;
    return (this.#timestamp ??= BigInt(this.#seconds) * 1_000_000_000n + BigInt(this.#nanoseconds));
  }

  get answer(): Ancillary | undefined {
    return this.#packetInfo.answer;
  }

  get withoutLoss(): Metadata {
    return this.lostBefore === 0
      ? this
      : new MessageMetadata(this.#packetInfo, this.#ttl, this.#tos, this.#seconds, this.#nanoseconds, 0);
  }
}

/** Whether an address is valid on one interface only. */
function isLinkLocal({ scope }: Endpoint): boolean {
  return scope !== undefined;
}

function known(value: number): number | undefined {
  return value < 0 ? undefined : value;
}
