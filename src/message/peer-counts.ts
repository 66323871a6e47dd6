import { Address, type AddressLike, type Endpoint } from "../core/address/address.js";
import { wholeNumber, wrongType } from "../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../core/errors/fields.js";
import { Socket } from "../core/socket/socket.js";

/** The options of `countPeers`. */
export interface CountPeersOptions {
  /** The number of peers that are counted, 1 to 1,000,000. A new peer replaces the one that was silent for longest. @default 1024 */
  readonly maxPeers?: number | undefined;
  /**
   * Returns the number of a datagram, from which `missing` is counted: a whole number that grows by 1 and begins again at 0 after
   * 65,535, as in RTP; `undefined` if it has none.
   */
  readonly sequence?: ((data: Buffer) => number | undefined) | undefined;
}

/** Counts of one peer, since its first datagram. */
export interface PeerCounts {
  /** The address of the peer. */
  readonly address: Endpoint;
  /** Datagrams that arrived from the peer. */
  readonly received: number;
  /** Payload bytes of the datagrams that arrived. */
  readonly receivedBytes: number;
  /** Datagrams that were sent to the peer since its first one arrived. */
  readonly sent: number;
  /** Payload bytes of the datagrams that were sent. */
  readonly sentBytes: number;
  /** Payload bits a second that arrived, over the last second. */
  readonly rateBps: number;
  /** When its first datagram arrived, on `socket.clock`. */
  readonly firstSeenMs: number;
  /** When its newest datagram arrived, on `socket.clock`. */
  readonly lastSeenMs: number;
  /** The longest time between two of its datagrams. */
  readonly longestGapMs: number;
  /**
   * Datagrams whose numbers were passed over and that have not come late; `undefined` without `sequence`. It is too low if a late
   * datagram came twice.
   */
  readonly missing: number | undefined;
}

const fields = fieldsOf<CountPeersOptions>({ maxPeers: true, sequence: true });
/** The time that a rate is about. */
const rateMs = 1000;

/**
 * Counts what the peers of a socket send, whoever reads the socket. It costs a copy of each datagram that is sent, as `tap`, and
 * a look into a table for each datagram; a socket without it pays nothing.
 *
 * @throws `TypeError`, `RangeError`; `OSError` `EBADF`.
 */
export function countPeers(socket: Socket, options: CountPeersOptions = {}): PeerCounters {
  if (!(socket instanceof Socket)) throw wrongType("socket", "a Socket", socket);
  if (typeof options !== "object" || (options as unknown) === null)
    throw wrongType("options", "an object", options);
  refuseUnknown(options, fields, "options: a field");
  const { maxPeers = 1024, sequence } = options;
  if (sequence !== undefined && typeof sequence !== "function")
    throw wrongType("sequence", "a function", sequence);
  return new PeerCounters(socket, wholeNumber("maxPeers", maxPeers, 1, 1_000_000), sequence);
}

/** The counts of the peers of one socket: made by `countPeers()`. */
export class PeerCounters implements Iterable<PeerCounts> {
  readonly #socket: Socket;
  readonly #maxPeers: number;
  readonly #sequence: CountPeersOptions["sequence"];
  /** By address, the one that was silent for longest first. */
  readonly #peers = new Map<string, Counted>();
  readonly #stop: () => void;
  #forgotten = 0;

  /** Made by `countPeers()`. */
  constructor(socket: Socket, maxPeers: number, sequence: CountPeersOptions["sequence"]) {
    this.#socket = socket;
    this.#maxPeers = maxPeers;
    this.#sequence = sequence;
    this.#stop = socket.tap(({ direction, data, source, destination }) => {
      if (direction === "in") this.#received(source as Endpoint, data);
      else this.#sent(destination, data.length);
    });
  }

  /** The number of peers that are counted. */
  get size(): number {
    return this.#peers.size;
  }

  /** The number of peers that were replaced by others, because of `maxPeers`. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** The counts of the peer at an IP address; `undefined` if nothing has come from there. @throws `TypeError`, `RangeError`. */
  get(address: AddressLike): PeerCounts | undefined {
    return this.#peers.get(String(Address.from(address)))?.counts(this.#socket.clock.now());
  }

  /** The counts of all peers, the one that was silent for longest first. */
  *[Symbol.iterator](): Generator<PeerCounts, void, undefined> {
    const now = this.#socket.clock.now();
    for (const peer of this.#peers.values()) yield peer.counts(now);
  }

  /** Ends the counting. The counts stay. */
  close(): void {
    this.#stop();
  }

  /** Calls `close()`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #received(source: Endpoint, data: Buffer): void {
    const key = String(source);
    const now = this.#socket.clock.now();
    const peer = this.#peers.get(key) ?? this.#add(source, now);
    this.#peers.delete(key);
    this.#peers.set(key, peer);
    peer.add(data.length, now);
    if (!this.#sequence) return;
    peer.missing ??= 0;
    const number = this.#sequence(data);
    if (number !== undefined) peer.number(number);
  }

  #add(address: Endpoint, now: number): Counted {
    const [oldest] = this.#peers.keys();
    if (oldest !== undefined && this.#peers.size >= this.#maxPeers) {
      this.#peers.delete(oldest);
      this.#forgotten++;
    }
    return new Counted(address, now);
  }

  #sent(destination: Address, bytes: number): void {
    const peer = this.#peers.get(String(destination));
    if (!peer) return;
    peer.sent++;
    peer.sentBytes += bytes;
  }
}

class Counted {
  readonly #address: Endpoint;
  readonly #firstSeenMs: number;
  #received = 0;
  #receivedBytes = 0;
  sent = 0;
  sentBytes = 0;
  #lastSeenMs: number;
  #longestGapMs = 0;
  missing: number | undefined;
  /** The highest number so far. */
  #highest: number | undefined;
  /** Bytes of the current second and of the one before, and when the current one began. */
  #bytes = 0;
  #bytesBefore = 0;
  #since: number;

  constructor(address: Endpoint, now: number) {
    this.#address = address;
    this.#firstSeenMs = this.#lastSeenMs = this.#since = now;
  }

  add(bytes: number, now: number): void {
    this.#received++;
    this.#receivedBytes += bytes;
    this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastSeenMs);
    this.#lastSeenMs = now;
    this.#turn(now);
    this.#bytes += bytes;
  }

  /** A datagram has this number. */
  number(number: number): void {
    const ahead = this.#highest === undefined ? 1 : ((number - this.#highest) << 16) >> 16;
    const missing = this.missing ?? 0;
    if (ahead > 0) {
      this.missing = missing + ahead - 1;
      this.#highest = number;
    } else if (ahead < 0) this.missing = Math.max(0, missing - 1);
  }

  counts(now: number): PeerCounts {
    this.#turn(now);
    // The part of the second before that is less than a second ago.
    const rest = Math.max(0, 1 - (now - this.#since) / rateMs);
    return {
      address: this.#address,
      received: this.#received,
      receivedBytes: this.#receivedBytes,
      sent: this.sent,
      sentBytes: this.sentBytes,
      rateBps: ((this.#bytes + rest * this.#bytesBefore) * 8 * 1000) / rateMs,
      firstSeenMs: this.#firstSeenMs,
      lastSeenMs: this.#lastSeenMs,
      longestGapMs: this.#longestGapMs,
      missing: this.missing,
    };
  }

  /** Begins a new second if the current one is over. */
  #turn(now: number): void {
    const seconds = Math.floor((now - this.#since) / rateMs);
    if (seconds < 1) return;
    this.#bytesBefore = seconds === 1 ? this.#bytes : 0;
    this.#bytes = 0;
    this.#since += seconds * rateMs;
  }
}
