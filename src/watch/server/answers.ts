import type { Buffer } from "node:buffer";

import type { Model } from "../model/model.js";
import type { Peer } from "../model/peer.js";
import type { Send, ServerMessage } from "../protocol.js";
import type { WatchedSource } from "../sources/source.js";
import { AF_UNSPEC, Address, OSError } from "../../index.js";
import { payloadOf } from "./page-messages.js";

/** Replies that are waited for at the same time. */
const maxAwaited = 1024;

/** A reply that is waited for. */
interface Awaited {
  readonly request: number;
  readonly to: string;
  readonly peer: Peer;
  readonly sentMs: number;
  readonly timer: NodeJS.Timeout;
  readonly reply: (message: ServerMessage) => void;
}

/** Sends the datagrams of the pages' answer box, and waits for the replies. */
export class Answers {
  readonly #model: Model;
  readonly #sources: readonly WatchedSource[];
  readonly #awaited = new Set<Awaited>();
  #isClosed = false;

  constructor(model: Model, sources: readonly WatchedSource[]) {
    this.#model = model;
    this.#sources = sources;
  }

  /** Sends a datagram to each address. Each result goes to `reply`. */
  send(send: Send, reply: (message: ServerMessage) => void): void {
    const { request } = send;
    const source = this.#sources[send.source];
    if (!source?.send) {
      reply({ type: "refused", request, error: "Nothing can be sent from this source." });
      return;
    }
    const data = payloadOf(send.payload);
    for (const to of send.to) void this.#sendOne(send, source, to, data, reply);
  }

  /** A datagram arrived from a peer of which a reply is awaited. */
  answered(peer: Peer, position: number): void {
    for (const awaited of this.#awaited) {
      if (awaited.peer !== peer) continue;
      this.#end(awaited);
      const { request, to, sentMs, reply } = awaited;
      const afterMs = performance.now() - sentMs;
      reply({ type: "reply", request, from: to, afterMs, datagram: position >>> 0 });
    }
  }

  /** Waits for no reply any more. */
  close(): void {
    this.#isClosed = true;
    for (const awaited of this.#awaited) this.#end(awaited);
  }

  async #sendOne(
    { request, source: id, awaitMs }: Send,
    source: WatchedSource,
    to: string,
    data: Buffer,
    reply: Awaited["reply"],
  ): Promise<void> {
    try {
      const address = await addressOf(source, to);
      if (awaitMs > 0 && !this.#isClosed && this.#awaited.size < maxAwaited)
        this.#await({ request, source: id, awaitMs }, to, address, reply);
      reply({
        type: "sent",
        request,
        to,
        bytes: (await source.send?.(data, address)) ?? 0,
        error: undefined,
      });
    } catch (error) {
      const text = error instanceof OSError ? `${error.code}: ${error.message}` : (error as Error).message;
      reply({ type: "sent", request, to, bytes: 0, error: text });
    }
  }

  #await(
    { request, source, awaitMs }: Pick<Send, "request" | "source" | "awaitMs">,
    to: string,
    address: Address,
    reply: Awaited["reply"],
  ): void {
    const peer = this.#model.peers.of(source, address, Date.now());
    const timer = setTimeout(() => {
      this.#end(awaited);
      reply({ type: "reply", request, from: to, afterMs: undefined, datagram: undefined });
    }, awaitMs);
    const awaited: Awaited = { request, to, peer, sentMs: performance.now(), timer, reply };
    this.#awaited.add(awaited);
    this.#model.setAwaited(peer, true);
  }

  #end(awaited: Awaited): void {
    clearTimeout(awaited.timer);
    this.#awaited.delete(awaited);
    const { peer } = awaited;
    if (![...this.#awaited].some((each) => each.peer === peer)) this.#model.setAwaited(peer, false);
  }
}

/** The address that datagrams go to and that replies come from: a name is resolved once. @throws (rejects) `Error`. */
async function addressOf(source: WatchedSource, to: string): Promise<Address> {
  const address = Address.parse(to);
  if (address.family !== AF_UNSPEC) return address;
  if (!source.resolve) throw new Error(`${address.host} is a name: this source sends to IP addresses only.`);
  return (await source.resolve(address.host)).withPort(address.port);
}
