import { Buffer } from "node:buffer";

import { headersTo } from "../core/send/path-mtu.js";
import { type Clock, type Datagram, type Endpoint, OSError } from "../index.js";
import type { Party } from "./direction.js";
import type { Upstream } from "./upstream.js";

/** The part of `idleMs` between two looks for who is idle, so that a look has many to find. */
const looksPerIdle = 16;
/** Bytes at the start of a new client's first datagram that are remembered. */
const rememberedBytes = 64;

/** Who sends to the relay, with what stands for it before each target. */
export class Client implements Party {
  readonly address: Endpoint;
  readonly headerBytes: number;
  upstreams: readonly Upstream[] = [];
  ready: Promise<void> | undefined;
  /** Milliseconds on the clock. */
  activeMs: number;
  inFlight = 0;
  /** Its last datagram, where it is needed: an answer to that leaves from the address that it came to. */
  last: Datagram | undefined;

  constructor(address: Endpoint, nowMs: number) {
    this.address = address;
    this.headerBytes = headersTo(address);
    this.activeMs = nowMs;
  }
}

/** What the table of clients is given. */
export interface ClientsHost {
  readonly clock: Clock;
  readonly maxClients: number;
  readonly idleMs: number;
  /** Whether the last datagram of each is needed: it holds the memory that others share with it. */
  readonly keepLast: boolean;
  /** Whether what comes from there are the relay's own datagrams, which came back. */
  isLooped(source: Endpoint): boolean;
  /** Opens the sockets of a new client. @throws `OSError` `EMFILE`. */
  open(client: Client): void;
  /** A client was removed. */
  removed(client: Client): void;
  /** No socket was to be had for somebody new. */
  failed(error: OSError): void;
}

/** Who sends to a relay, by address: as many as may be, each until nothing has passed for a while. */
export class Clients {
  ever = 0;
  expired = 0;
  /** Datagrams of those who found no room, or for whom no socket was to be had. */
  refused = 0;
  /** Datagrams of the relay itself. */
  looped = 0;
  /** The most new clients in a row that began with the same datagram, while nothing came back to any. */
  alikeInRow = 0;
  readonly #host: ClientsHost;
  readonly #clients = new Map<string, Client>();
  #lastSource: Endpoint | undefined;
  #lastClient: Client | undefined;
  /** How the last new client began, and how many before it did so too. */
  #firstSize = -1;
  #firstBytes: Buffer = Buffer.alloc(0);
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

  /** The client of a datagram; `undefined`, and counted, if there is no room for a new one. */
  of(datagram: Datagram, nowMs: number): Client | undefined {
    const { source } = datagram;
    // Datagrams that came together share their source.
    if (source !== this.#lastSource) {
      this.#lastClient = this.#clients.get(String(source)) ?? this.#enter(datagram, nowMs);
      this.#lastSource = this.#lastClient && source;
    }
    const client = this.#lastClient;
    if (client) {
      client.activeMs = nowMs;
      if (this.#host.keepLast) client.last = datagram;
    }
    return client;
  }

  /** A target answered: the clients that began alike are no loop. */
  answered(): void {
    this.#inRow = 0;
  }

  /** Takes nobody new, and forgets all once what stands for them is closed. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer?.();
    const clients = [...this.#clients.values()];
    await Promise.all(clients.flatMap(({ upstreams }) => upstreams.map((each) => each.close())));
    for (const client of clients) this.#remove(client);
  }

  #enter(datagram: Datagram, nowMs: number): Client | undefined {
    const { source } = datagram;
    if (this.#host.isLooped(source)) {
      this.looped++;
      return undefined;
    }
    const client = this.#open(source, nowMs);
    if (client) this.#compare(datagram);
    else this.refused++;
    return client;
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

  /** Counts clients that begin alike: in a loop of relays, each round adds one. */
  #compare({ data }: Datagram): void {
    const start = data.subarray(0, rememberedBytes);
    const same = data.length === this.#firstSize && start.equals(this.#firstBytes);
    this.#inRow = same ? this.#inRow + 1 : 1;
    this.alikeInRow = Math.max(this.alikeInRow, this.#inRow);
    if (same) return;
    this.#firstSize = data.length;
    this.#firstBytes = Buffer.from(start);
  }

  /** Looks for who is idle now and then, while there is anybody. */
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
