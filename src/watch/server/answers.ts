import type { Model } from "../model/model.js";
import type { Peer } from "../model/peer.js";
import type { Send, ServerMessage } from "../protocol.js";
import type { WatchedSource } from "../sources/source.js";
import { Address, OSError } from "../../index.js";
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

  constructor(model: Model, sources: readonly WatchedSource[]) {
    this.#model = model;
    this.#sources = sources;
  }

  /** Sends a datagram to each address. Each result goes to `reply`. */
  send(send: Send, reply: (message: ServerMessage) => void): void {
    const { request, source } = send;
    const from = this.#sources[source]?.send;
    if (!from) {
      reply({ type: "refused", request, error: "Nothing can be sent from this source." });
      return;
    }
    const data = payloadOf(send.payload);
    for (const to of send.to) void this.#sendOne(send, to, from(data, to), reply);
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
    for (const awaited of this.#awaited) this.#end(awaited);
  }

  async #sendOne(
    { request, source, awaitMs }: Send,
    to: string,
    sending: Promise<number>,
    reply: (message: ServerMessage) => void,
  ): Promise<void> {
    if (awaitMs > 0 && this.#awaited.size < maxAwaited) this.#await({ request, source, awaitMs }, to, reply);
    try {
      reply({ type: "sent", request, to, bytes: await sending, error: undefined });
    } catch (error) {
      const text = error instanceof OSError ? `${error.code}: ${error.message}` : String(error);
      reply({ type: "sent", request, to, bytes: 0, error: text });
    }
  }

  #await(
    { request, source, awaitMs }: Pick<Send, "request" | "source" | "awaitMs">,
    to: string,
    reply: Awaited["reply"],
  ): void {
    // A name has no peer: datagrams come from addresses.
    const peer = this.#model.peers.of(source, Address.parse(to), Date.now());
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
