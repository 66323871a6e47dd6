import type { Endpoint, Family } from "../../core/address/address.js";
import { sharedAddress } from "../../core/address/cache.js";
import { forSocket } from "../node/addresses.js";
import type { Interface } from "../node/node.js";
import { type Packet, type UdpDatagram, ipHeaderBytes, udpHeaderBytes } from "../packet/packet.js";
import { memoryBytes } from "../packet/memory.js";
import { QueuedDatagram } from "./queued-datagram.js";

/** Places at the front of the queue that may stay empty before it is made shorter. */
const compactAfter = 1024;

/** What lies unread on one socket, oldest first: no more bytes than its receive buffer has. */
export class ReceiveBuffer {
  /** Datagrams that found no room. */
  dropped = 0;
  readonly #family: Family;
  /** Holds what lies unread from `#first` to `#end`. */
  readonly #queue: (QueuedDatagram | undefined)[] = [];
  #first = 0;
  #end = 0;
  #bytes = 0;
  /** Dropped since the last datagram that was let in. */
  #lostBefore = 0;
  #lastSource: Endpoint | undefined;

  /** @param family of the socket, in whose spelling addresses are told. */
  constructor(family: Family) {
    this.#family = family;
  }

  /** Datagrams that lie unread. */
  get size(): number {
    return this.#end - this.#first;
  }

  /**
   * @param limitBytes that unread datagrams may take, overhead and all.
   * @param port that the socket is bound to.
   * @param time whole nanoseconds of virtual time.
   * @param toAll whether it came to a group, or to everybody.
   * @returns whether there was room.
   */
  add(
    limitBytes: number,
    port: number,
    packet: Packet,
    { payload, sourcePort }: UdpDatagram,
    time: number,
    at: Interface,
    toAll: boolean,
  ): boolean {
    const bytes = memoryOf(payload.length);
    // One always has room, however long: `__udp_enqueue_schedule_skb`, net/ipv4/udp.c.
    if (this.#bytes > 0 && this.#bytes + bytes > limitBytes) {
      this.dropped++;
      this.#lostBefore++;
      return false;
    }
    this.#bytes += bytes;
    const from = forSocket(packet.source, this.#family);
    if (this.#lastSource?.port !== sourcePort || this.#lastSource.host !== from) {
      this.#lastSource = sharedAddress(from, sourcePort) as Endpoint;
    }
    const arrival = { host: forSocket(packet.destination, this.#family), port, interface: at.name, toAll };
    const { ttl, tos } = packet;
    this.#queue[this.#end++] = new QueuedDatagram(
      payload,
      this.#lastSource,
      arrival,
      ttl,
      tos,
      time,
      this.#lostBefore,
    );
    this.#lostBefore = 0;
    return true;
  }

  /** Takes the oldest away; `undefined` where nothing lies unread. */
  take(): QueuedDatagram | undefined {
    if (this.#first === this.#end) return undefined;
    const unread = this.#queue[this.#first] as QueuedDatagram;
    this.#queue[this.#first++] = undefined;
    this.#bytes -= memoryOf(unread.data.length);
    if (this.#first === this.#end) this.#first = this.#end = 0;
    else if (this.#first >= compactAfter) {
      this.#queue.splice(0, this.#first);
      this.#end -= this.#first;
      this.#first = 0;
    }
    return unread;
  }

  clear(): void {
    this.#queue.length = this.#first = this.#end = 0;
  }
}

/** Bytes of the receive buffer that a datagram takes, whichever version of IP it came by. */
function memoryOf(payloadBytes: number): number {
  return memoryBytes(4, ipHeaderBytes[4] + udpHeaderBytes + payloadBytes);
}
