import type { Endpoint, Family } from "../../core/address/address.js";
import { sharedAddress } from "../../core/address/shared-addresses.js";
import { forSocket } from "../node/addresses.js";
import type { Interface } from "../node/node.js";
import { type Packet, type UdpDatagram, ipHeaderBytes, udpHeaderBytes } from "../packet/packet.js";
import { memoryBytes } from "../packet/memory.js";
import { QueuedDatagram } from "./queued-datagram.js";

/** The number of empty places at the front of the queue at which they are removed. */
const compactAfter = 1024;

/** The unread datagrams of one socket, oldest first, up to the size of its receive buffer. */
export class ReceiveBuffer {
  /** Datagrams that were dropped because the buffer was full. */
  dropped = 0;
  readonly #family: Family;
  /** The unread datagrams are from `#first` to before `#end`. */
  readonly #queue: (QueuedDatagram | undefined)[] = [];
  #first = 0;
  #end = 0;
  #bytes = 0;
  /** Datagrams dropped since the last one that was added. */
  #lostBefore = 0;
  #lastSource: Endpoint | undefined;

  /** @param family of the socket, which decides how addresses are written. */
  constructor(family: Family) {
    this.#family = family;
  }

  /** The number of unread datagrams. */
  get size(): number {
    return this.#end - this.#first;
  }

  /**
   * Adds a datagram.
   *
   * @param limitBytes that unread datagrams may take, including overhead.
   * @param port that the socket is bound to.
   * @param time of arrival, in whole nanoseconds of virtual time.
   * @param toAll whether the destination is a multicast group or a broadcast address.
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
    // An empty buffer takes one datagram of any length: `__udp_enqueue_schedule_skb`, net/ipv4/udp.c.
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

  /** Removes and returns the oldest datagram; `undefined` if there is none. */
  take(): QueuedDatagram | undefined {
    if (this.#first === this.#end) return undefined;
    const unread = this.#queue[this.#first] as QueuedDatagram;
    this.#queue[this.#first++] = undefined;
    this.#bytes -= memoryOf(unread.data.length);
    if (this.#bytes < 0) throw new Error(`the unread datagrams of a socket take ${this.#bytes} bytes`);
    if (this.#first === this.#end) this.#first = this.#end = 0;
    else if (this.#first >= compactAfter) {
      this.#queue.splice(0, this.#first);
      this.#end -= this.#first;
      this.#first = 0;
    }
    return unread;
  }

  clear(): void {
    this.#queue.length = this.#first = this.#end = this.#bytes = 0;
  }
}

/** Bytes of the receive buffer that a datagram takes: the same for both versions of IP. */
function memoryOf(payloadBytes: number): number {
  return memoryBytes(4, ipHeaderBytes[4] + udpHeaderBytes + payloadBytes);
}
