import type { Interface } from "../node/node.js";
import type { IcmpError, Packet, UdpDatagram } from "../packet/packet.js";
import type { Random } from "../random.js";
import type { SimOptions } from "./options.js";

/** The ports of sockets that choose none: `net.ipv4.ip_local_port_range`. */
const firstEphemeral = 32_768;
const ephemeralPorts = 28_232;

/** Where a socket is bound and connected. */
export interface SocketBinding {
  readonly options: SimOptions;
  /** 0 until it is bound. */
  readonly port: number;
  /** How specific the match of a datagram to its port is to this socket; -1 if the socket does not receive it. */
  score(packet: Packet, sourcePort: number, at: Interface): number;
  /**
   * Whether it receives packets of a version of IP if it is bound to `host`, as written in packets.
   *
   * @default the address that it is bound to
   */
  acceptsVersion(version: 4 | 6, host?: string): boolean;
  /** Whether another socket may be bound to `host` at the same port. */
  sharesWith(other: SocketBinding, host: string): boolean;
  /** Whether this socket may have sent the packet that an ICMP error is about. */
  mayHaveSent(packet: Packet): boolean;
}

/** A bound socket, as `Ip` sees it. */
export interface BoundSocket {
  readonly binding: SocketBinding;
  /**
   * Takes a datagram that arrived. Returns whether a program was called; `undefined` if the receive buffer is full.
   *
   * @param toAll whether the destination is a multicast group or a broadcast address.
   */
  arrive(
    packet: Packet,
    datagram: UdpDatagram,
    time: number,
    at: Interface,
    toAll: boolean,
  ): boolean | undefined;
  /** Takes an ICMP error about a datagram of this socket to a port. `from` is the node that sent the error. */
  icmpArrived(error: IcmpError, port: number, from: string): void;
}

/** The bound sockets of one host, by port. */
export class Ports {
  /** In the order in which they were bound. */
  readonly #byPort = new Map<number, BoundSocket[]>();
  #next: number;

  constructor(random: Random) {
    this.#next = random.below(ephemeralPorts);
  }

  /** A port at which no socket is bound; `undefined` if there is none. */
  free(): number | undefined {
    for (let tries = 0; tries < ephemeralPorts; tries++) {
      const port = firstEphemeral + this.#next;
      this.#next = (this.#next + 1) % ephemeralPorts;
      if (!this.#byPort.has(port)) return port;
    }
    return undefined;
  }

  /** Whether the sockets at a port allow another socket at `host`. */
  allows(socket: BoundSocket, host: string, port: number): boolean {
    return (this.#byPort.get(port) ?? []).every(
      (other) => other === socket || other.binding.sharesWith(socket.binding, host),
    );
  }

  add(socket: BoundSocket, port: number): void {
    const sockets = this.#byPort.get(port);
    if (sockets) sockets.push(socket);
    else this.#byPort.set(port, [socket]);
  }

  remove(socket: BoundSocket, port: number): void {
    const sockets = this.#byPort.get(port)?.filter((each) => each !== socket) ?? [];
    if (sockets.length > 0) this.#byPort.set(port, sockets);
    else this.#byPort.delete(port);
  }

  /** All sockets at a port, in the order in which they were bound. */
  at(port: number): readonly BoundSocket[] {
    return this.#byPort.get(port) ?? [];
  }

  /**
   * The socket that receives a unicast datagram: the one with the most specific match. Of equal ones, it is the one that
   * was bound last; with `SO_REUSEPORT`, the address and port of the peer choose one (`udp4_lib_lookup2`, net/ipv4/udp.c).
   */
  receiver(
    packet: Packet,
    sourcePort: number,
    destinationPort: number,
    at: Interface,
  ): BoundSocket | undefined {
    const sockets = this.#byPort.get(destinationPort);
    if (!sockets) return undefined;
    let best: BoundSocket | undefined;
    let bestScore = -1;
    let equal: BoundSocket[] | undefined;
    for (const socket of sockets) {
      const score = socket.binding.score(packet, sourcePort, at);
      if (score < 0 || score < bestScore) continue;
      if (score > bestScore) equal = undefined;
      else if (best) (equal ??= [best]).push(socket);
      best = socket;
      bestScore = score;
    }
    if (!equal || !best?.binding.options.reusePort) return best;
    return equal[hash(packet.source, sourcePort) % equal.length];
  }
}

function hash(host: string, port: number): number {
  let value = port;
  for (let index = 0; index < host.length; index++)
    value = Math.imul(value ^ host.charCodeAt(index), 0x0100_0193);
  return (value ^ (value >>> 15)) >>> 0;
}
