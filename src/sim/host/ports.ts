import type { Interface } from "../node/node.js";
import type { IcmpError, Packet, UdpDatagram } from "../packet/packet.js";
import type { Random } from "../random.js";
import type { SimOptions } from "./options.js";

/** Ports that are given to sockets which name none: `net.ipv4.ip_local_port_range`. */
const firstEphemeral = 32_768;
const ephemeralPorts = 28_232;

/** Where a socket is bound and connected, and so what it hears. */
export interface SocketBinding {
  readonly options: SimOptions;
  /** 0 until it is bound. */
  readonly port: number;
  /** How well a datagram fits this socket, which is bound to its port: -1 not at all. */
  score(packet: Packet, sourcePort: number, at: Interface): number;
  /** Whether it would hear of packets of a version of IP, bound to a host as it is in packets; without one, where it is bound. */
  acceptsVersion(version: 4 | 6, host?: string): boolean;
  /** Whether another socket may be bound beside this one, to `host` at the same port. */
  sharesWith(other: SocketBinding, host: string): boolean;
  /** Whether a packet, of which ICMP tells, may have come from this socket. */
  mayHaveSent(packet: Packet): boolean;
}

/** What the protocols below a socket need of it. */
export interface BoundSocket {
  readonly binding: SocketBinding;
  /**
   * A datagram has come, for this host alone or for all that listen. Gives whether the program was told, `undefined` where
   * there was no room.
   */
  arrive(
    packet: Packet,
    datagram: UdpDatagram,
    time: number,
    at: Interface,
    toAll: boolean,
  ): boolean | undefined;
  /** ICMP has told of a datagram of this socket to a port; `from` has said so. */
  icmpArrived(error: IcmpError, port: number, from: string): void;
}

/** Where sockets are bound on one host. */
export class Ports {
  /** In the order in which they were bound. */
  readonly #byPort = new Map<number, BoundSocket[]>();
  #next: number;

  constructor(random: Random) {
    this.#next = random.below(ephemeralPorts);
  }

  /** A port at which no socket is bound; `undefined` where there is none left. */
  free(): number | undefined {
    for (let tries = 0; tries < ephemeralPorts; tries++) {
      const port = firstEphemeral + this.#next;
      this.#next = (this.#next + 1) % ephemeralPorts;
      if (!this.#byPort.has(port)) return port;
    }
    return undefined;
  }

  /** Whether a socket may be bound there beside those that are. */
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
   * Who gets a unicast datagram: the most particular socket, and of equal ones the one that was bound last; of a group
   * that shares its port by `SO_REUSEPORT`, the one that the peer's address and port choose (`udp4_lib_lookup2`,
   * net/ipv4/udp.c).
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
