import type dgram from "node:dgram";

import { type Endpoint, destinationOf } from "../../core/address/address.js";
import { sharedAddress } from "../../core/address/shared-addresses.js";
import { AF_INET6 } from "../../core/constants.js";
import type { DriverEvents } from "../../core/driver/driver.js";
import { OSError } from "../../core/errors/errors.js";
import { realClock } from "../clock.js";
import { destinationFor } from "../interfaces.js";
import { cannotReturn, formerPeerWarning } from "../local-address.js";
import { toOSError } from "./errors.js";
import type { Receiving } from "./receiving.js";
import { connectsAtOnce, connectsInKernel } from "./runtimes.js";
import type { DgramSocket } from "./socket.js";

/** Turns of the loop, at most, in which the rest of a receive buffer is read. Node reads up to 32 datagrams in each. */
const maxTurns = 512;

/** The connected peer of a socket of `node:dgram`, which cannot connect again and keep its port. */
export class Association {
  readonly #socket: DgramSocket;
  readonly #events: DriverEvents;
  readonly #receiving: Receiving;
  /** The peer as the kernel has it. */
  #peer: Endpoint | null = null;
  /** The peer as the program named it. */
  #peerNamed: Endpoint | null = null;
  /** The dissolved peer of an IPv6 socket whose address the kernel keeps (`#reopen`). */
  #former: Endpoint | null = null;

  constructor(socket: DgramSocket, events: DriverEvents, receiving: Receiving) {
    this.#socket = socket;
    this.#events = events;
    this.#receiving = receiving;
  }

  /** The connected peer as the kernel has it. */
  get peer(): Endpoint | null {
    return this.#peer;
  }

  /** Whether `to` is the connected peer, as the kernel has it or as the program named it: `0.0.0.0` is this host. */
  isPeer(to: Endpoint): boolean {
    return this.#peer !== null && (to.equals(this.#peer) || this.#peerNamed?.equals(to) === true);
  }

  /** As `Driver.connect`. A bound socket without a peer connects at once. If that fails, Node says why in a later tick. */
  connect(to: Endpoint | null): Promise<void> | undefined {
    const socket = this.#socket.current;
    if (!to && !socket) return undefined;
    if (to && socket && connectsInKernel && !this.#peer) return this.#connect(socket, to);
    return this.#connectLater(to);
  }

  remote(): Endpoint {
    const socket = this.#socket.current;
    if (!socket || !this.#peer) throw new OSError("ENOTCONN", { syscall: "getpeername" });
    if (!connectsInKernel) return this.#peer;
    return peerOf(socket);
  }

  async #connectLater(to: Endpoint | null): Promise<void> {
    const socket = await this.#socket.use();
    if (!connectsInKernel) {
      this.#keep(to);
      return;
    }
    const former = this.#peer ?? this.#former;
    if (former && (this.#peer || !to)) {
      await readRest(socket, !to && this.#socket.family === AF_INET6 ? maxTurns : 1);
      try {
        await this.#disconnect(former, to);
      } catch (error) {
        throw cannotReturn(error, this.#socket.boundTo, to);
      }
    }
    if (to) await this.#connect(this.#socket.current ?? socket, to);
  }

  #connect(socket: dgram.Socket, to: Endpoint): Promise<void> | undefined {
    const host = destinationFor(to, "connect");
    let isDone = false;
    const later = new Promise<void>((resolve, reject) => {
      socket.connect(to.port, host, (error?: Error) => {
        if (isDone) return;
        try {
          if (error) throw error;
          // Bun may call back without an error although it is not connected. Then this throws.
          this.#connected(peerOf(socket), to);
          resolve();
        } catch (reason) {
          reject(toOSError(reason, "connect", to));
        }
      });
    });
    const peer = connectsAtOnce ? peerNow(socket) : undefined;
    if (!peer) return later;
    isDone = true;
    this.#connected(peer, to);
    return undefined;
  }

  #connected(peer: Endpoint, named: Endpoint): void {
    this.#peer = peer;
    this.#peerNamed = named;
    this.#former = null;
  }

  /** Connects without the kernel. */
  #keep(to: Endpoint | null): void {
    if (to) destinationFor(to, "connect");
    this.#peerNamed = to;
    this.#peer = to && destinationOf(to);
    this.#receiving.only(this.#peer);
  }

  /**
   * The kernel takes the port away from a socket that was not bound to a port by its number (`__udp_disconnect`,
   * net/ipv4/udp.c), and Node binds a socket only once. So another socket is opened on this port.
   */
  async #disconnect(former: Endpoint, to: Endpoint | null): Promise<void> {
    const socket = this.#socket.current;
    if (!socket) throw new OSError("EBADF", { syscall: "connect", address: to?.host, port: to?.port });
    const { port } = socket.address();
    if (this.#peer) socket.disconnect();
    this.#peer = null;
    // An error of the former peer must not look like one of the next.
    this.#receiving.takeError();
    const at = this.#socket.boundTo.withPort(port) as Endpoint;
    if (socket.address().port !== port) await this.#replace(at);
    else if (this.#socket.family === AF_INET6) {
      this.#former = former;
      if (!to) await this.#reopen(former, at);
    }
  }

  /**
   * Linux keeps the address of the dissolved peer of an IPv6 socket, which then receives from that host only
   * (`__udp_disconnect` leaves `sk_v6_daddr`). So another socket takes its place.
   */
  async #reopen(former: Endpoint, at: Endpoint): Promise<void> {
    if (this.#socket.fd !== undefined) {
      this.#warn(former, "the descriptor belongs to the program that opened it");
      return;
    }
    try {
      await this.#replace(at);
      return;
    } catch (error) {
      const { code, message } = toOSError(error, "bind", at);
      if (code !== "EADDRINUSE") {
        this.#warn(former, message);
        return;
      }
    }
    // The old socket itself has the port, and shares it with no other socket.
    await this.#socket.reopen(at);
    this.#former = null;
  }

  async #replace(at: Endpoint): Promise<void> {
    this.#socket.replace(await this.#socket.open(at));
    this.#former = null;
  }

  #warn(former: Endpoint, why: string): void {
    queueMicrotask(() => {
      if (!this.#socket.closed) this.#events.warning(formerPeerWarning(former, why));
    });
  }
}

/** The peer of a connected socket. */
function peerOf(socket: dgram.Socket): Endpoint {
  const { address, port } = socket.remoteAddress();
  return sharedAddress(address, port) as Endpoint;
}

/** The peer of a socket; `undefined` if it is not connected yet. */
function peerNow(socket: dgram.Socket): Endpoint | undefined {
  try {
    return peerOf(socket);
  } catch {
    return undefined;
  }
}

/**
 * Lets Node read the receive buffer, until a turn of the loop brings no datagram. At least one turn: Node notices an ICMP
 * error when it polls, and later that error would look like one of the next peer.
 */
async function readRest(socket: dgram.Socket, turnLimit: number): Promise<void> {
  let arrived = true;
  const note = (): boolean => (arrived = true);
  socket.on("message", note);
  for (let turns = 0; arrived && turns < turnLimit; turns++) {
    arrived = false;
    await new Promise<void>((resolve) => realClock.turn(resolve));
  }
  socket.off("message", note);
}
