import { Buffer } from "node:buffer";

import { headersTo } from "../core/send/path-mtu-cache.js";
import { type Clock, type Datagram, type Endpoint, OSError } from "../index.js";
import type { DirectionClient } from "./direction.js";
import { clientLimit, relayLoop } from "./observer.js";
import type { Upstream } from "./upstream.js";

/** Searches for idle clients in each `idleMs`. Few searches are enough, because each one finds all that are idle. */
const looksPerIdle = 16;
/** Bytes at the start of a new client's first datagram that are remembered. */
const rememberedBytes = 64;

/** A client of the relay, with its socket for each target. */
export class Client implements DirectionClient {
  readonly address: Endpoint;
  readonly headerBytes: number;
  upstreams: readonly Upstream[] = [];
  ready: Promise<void> | undefined;
  /** When its last datagram passed, in milliseconds on the clock. */
  activeMs: number;
  inFlight = 0;
  /** Its last datagram, if `keepLast` is set. A reply to it leaves from the address that it came to. */
  last: Datagram | undefined;

  constructor(address: Endpoint, nowMs: number) {
    this.address = address;
    this.headerBytes = headersTo(address);
    this.activeMs = nowMs;
  }
}

/** What the table of clients needs of its relay. */
export interface ClientsHost {
  readonly clock: Clock;
  readonly maxClients: number;
  readonly idleMs: number;
  /** Whether to keep the last datagram of each client. It keeps the memory that it shares with other datagrams. */
  readonly keepLast: boolean;
  /** Whether datagrams from this address are the relay's own, which came back. */
  isLooped(source: Endpoint): boolean;
  /** Opens the sockets of a new client. @throws `OSError` `EMFILE`. */
  open(client: Client): void;
  /** A client was removed. */
  removed(client: Client): void;
  /** No socket could be opened for a new client. */
  failed(error: OSError): void;
}

/** The clients of a relay, by address: at most `maxClients`, each until no datagram has passed for `idleMs`. */
export class Clients {
  ever = 0;
  expired = 0;
  /** Datagrams from new clients that were refused: the table was full, or no socket could be opened. */
  refused = 0;
  /** Datagrams of the relay itself. */
  looped = 0;
  /** The largest number of new clients in a row whose first datagram was the same, while no target answered. */
  alikeInRow = 0;
  readonly #host: ClientsHost;
  readonly #clients = new Map<string, Client>();
  #lastSource: Endpoint | undefined;
  #lastClient: Client | undefined;
  /** Size and first bytes of the first datagram of the last new client. */
  #firstSize = -1;
  #firstBytes: Buffer = Buffer.alloc(0);
  /** New clients in a row that began with it. */
  #inRow = 0;
  #cancelTimer: (() => void) | undefined;
  #closed = false;

  constructor(host: ClientsHost) {
    this.#host = host;
  }

  get now(): number {
    return this.#clients.size;
  }

  [Symbol.iterator](): Iterator<Client> {
    return this.#clients.values();
  }

  /** The client of a datagram; why there is none, and counted, if it is the relay's own or there is no room for a new one. */
  of(datagram: Datagram, nowMs: number): Client | string {
    const { source } = datagram;
    // Datagrams that came together share their source.
    if (source !== this.#lastSource) {
      const found = this.#clients.get(String(source)) ?? this.#enter(datagram, nowMs);
      if (typeof found === "string") return found;
      this.#lastClient = found;
      this.#lastSource = source;
    }
    const client = this.#lastClient as Client;
    client.activeMs = nowMs;
    if (this.#host.keepLast) client.last = datagram;
    return client;
  }

  /** A target answered, so the clients that began alike are not a loop. */
  answered(): void {
    this.#inRow = 0;
  }

  /** Refuses new clients, closes all sockets, then removes all clients. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer?.();
    const clients = [...this.#clients.values()];
    await Promise.all(clients.flatMap(({ upstreams }) => upstreams.map((each) => each.close())));
    for (const client of clients) this.#remove(client);
  }

  #enter(datagram: Datagram, nowMs: number): Client | string {
    const { source } = datagram;
    if (this.#host.isLooped(source)) {
      this.looped++;
      return relayLoop;
    }
    const client = this.#open(source, nowMs);
    if (client) {
      this.#compare(datagram);
      return client;
    }
    this.refused++;
    return clientLimit;
  }

  #open(source: Endpoint, nowMs: number): Client | undefined {
    if (this.#closed || this.#clients.size >= this.#host.maxClients) return undefined;
    try {
      const client = new Client(source, nowMs);
      this.#host.open(client);
      this.#clients.set(String(source), client);
      this.ever++;
      this.#watch();
      return client;
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      this.#host.failed(error);
      return undefined;
    }
  }

  #remove(client: Client): void {
    this.#clients.delete(String(client.address));
    this.#lastSource = undefined;
    this.#host.removed(client);
  }

  /** Counts new clients with the same first datagram: in a loop of relays, each round adds one. */
  #compare({ data }: Datagram): void {
    const start = data.subarray(0, rememberedBytes);
    const same = data.length === this.#firstSize && start.equals(this.#firstBytes);
    this.#inRow = same ? this.#inRow + 1 : 1;
    this.alikeInRow = Math.max(this.alikeInRow, this.#inRow);
    if (same) return;
    this.#firstSize = data.length;
    this.#firstBytes = Buffer.from(start);
  }

  /** Searches for idle clients at intervals, while there are clients. */
  #watch(): void {
    const { clock, idleMs } = this.#host;
    this.#cancelTimer ??= clock.after(idleMs / looksPerIdle, () => {
      this.#cancelTimer = undefined;
      this.#expire(clock.now() - idleMs);
      if (this.#clients.size > 0) this.#watch();
    });
  }

  #expire(sinceMs: number): void {
    for (const client of this.#clients.values()) {
      if (client.activeMs > sinceMs || client.inFlight > 0) continue;
      this.expired++;
      this.#remove(client);
    }
  }
}
