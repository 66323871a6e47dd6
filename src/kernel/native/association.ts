/** Connects a kernel socket to a peer, and dissolves that association. */

import type { Endpoint } from "../../core/address/address.js";
import { peerOf } from "../../core/address/scopes.js";
import { AF_INET6 } from "../../core/constants.js";
import { codeOf } from "../../core/errors/errno.js";
import { OSError } from "../../core/errors/errors.js";
import { cannotReturn, formerPeerWarning } from "../local-address.js";
import type { Handle } from "./addon.js";
import { bindBeside } from "./reopen.js";
import type { Receiving } from "./receiving.js";
import type { Settings } from "./settings.js";
import type { KernelSocket } from "./socket.js";

/** The connected peer of one socket. */
export class Association {
  readonly #socket: KernelSocket;
  readonly #settings: Settings;
  readonly #receiving: Receiving;
  /** The peer that an IPv6 socket had before, if the kernel keeps its address (`#dissolve`). */
  #former: Endpoint | undefined;

  constructor(socket: KernelSocket, settings: Settings, receiving: Receiving) {
    this.#socket = socket;
    this.#settings = settings;
    this.#receiving = receiving;
  }

  /** As `Driver.connect`. */
  connect(to: Endpoint | null): void {
    const socket = this.#socket;
    try {
      const former = socket.family === AF_INET6 ? (socket.peer ?? this.#former) : undefined;
      if (!to && former) this.#dissolve(former);
      else if (socket.peer) this.#disconnect();
    } catch (error) {
      throw cannotReturn(error, socket.boundTo, to);
    }
    if (!to) return;
    socket.prepareToSend();
    socket.check(socket.handle.connect(socket.names.write(to, "connect")), "connect", to);
    this.#former = undefined;
    socket.peer = peerOf(socket.remote(), to);
    socket.peerGiven = to;
  }

  /**
   * Linux keeps the address of the peer of a dissolved IPv6 socket. The socket then receives from that host only, as long as it
   * is open (`__udp_disconnect`, net/ipv4/udp.c, leaves `sk_v6_daddr`). So another kernel socket takes its place.
   */
  #dissolve(former: Endpoint): void {
    const socket = this.#socket;
    const obstacle = this.#reopen(former);
    if (obstacle === undefined) return;
    if (socket.peer) this.#disconnect();
    queueMicrotask(() => {
      if (!socket.closed) socket.events.warning(formerPeerWarning(former, obstacle));
    });
  }

  /** @returns why no other kernel socket can take the place of this one; `undefined` if one did. */
  #reopen(former: Endpoint): string | undefined {
    const socket = this.#socket;
    if (socket.options.fd !== undefined) return "the descriptor belongs to the program that opened it";
    const { port } = socket.local();
    const fresh = socket.openHandle();
    if (typeof fresh === "number") return `no other socket can be opened: ${codeOf(-fresh)}`;
    const obstacle = this.#makeAlike(fresh, port);
    if (obstacle !== undefined) {
      fresh.close();
      return obstacle;
    }
    this.#silence(former);
    this.#receiving.drain();
    socket.replaceHandle(fresh);
    socket.icmpErrors.forgetPeer();
    socket.peer = this.#former = undefined;
    return undefined;
  }

  /** Copies the settings and the address of the open socket to `fresh`. @returns the reason if it cannot. */
  #makeAlike(fresh: Handle, port: number): string | undefined {
    const socket = this.#socket;
    try {
      socket.prepareFresh(fresh);
      const at = socket.boundTo.withPort(port) as Endpoint;
      const obstacle = this.#settings.replay(fresh);
      if (obstacle !== undefined) return obstacle;
      socket.check(bindBeside(socket.handle, fresh, socket.names.write(at, "bind")), "bind", at);
      return undefined;
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      return error.message;
    }
  }

  /** Connects the old kernel socket to a port of the peer that sends nothing, so that new arrivals go to the new one. */
  #silence(former: Endpoint): void {
    const { handle, names } = this.#socket;
    try {
      handle.connect(names.write(former.withPort(former.port === 1 ? 2 : 1) as Endpoint, "connect"));
    } catch (error) {
      // The interface of the scope is gone, so nothing comes from there.
      if (!(error instanceof OSError)) throw error;
    }
  }

  /** Dissolves the association. A socket whose port the kernel chose loses it (`__udp_disconnect`), so it is bound again. */
  #disconnect(): void {
    const socket = this.#socket;
    const { port } = socket.local();
    socket.check(socket.handle.connect(null), "connect");
    // ICMP errors about this peer must not fail a call about another.
    socket.handle.errors();
    socket.icmpErrors.take(socket.peer);
    socket.icmpErrors.forgetPeer();
    if (socket.family === AF_INET6) this.#former = socket.peer;
    socket.peer = undefined;
    if (socket.local().port === port) return;
    const again = socket.boundTo.withPort(port) as Endpoint;
    socket.check(socket.handle.bind(socket.names.write(again, "bind")), "bind", again);
  }
}
