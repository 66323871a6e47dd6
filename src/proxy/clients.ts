import { headersTo } from "../core/path-mtu.js";
import { type Clock, type Datagram, type Endpoint, OSError, type Socket } from "../index.js";
import type { Party } from "./direction.js";
import { socketFor } from "./target.js";

/** The part of `idleMs` between two looks for who is idle, so that a look has many to find. */
const looksPerIdle = 16;

/** Who sends to the relay, with the socket that stands for it before the target. */
export class Client implements Party {
  readonly address: Endpoint;
  readonly upstream: Socket;
  readonly headerBytes: number;
  /** Milliseconds on the clock. */
  activeMs: number;
  inFlight = 0;
  /** Its last datagram, where it is needed: an answer to that leaves from the address that it came to. */
  last: Datagram | undefined;

  constructor(address: Endpoint, upstream: Socket, nowMs: number) {
    this.address = address;
    this.upstream = upstream;
    this.headerBytes = headersTo(address);
    this.activeMs = nowMs;
  }
}

/** What the table of clients is given. */
export interface ClientsHost {
  readonly clock: Clock;
  readonly target: Endpoint;
  readonly maxClients: number;
  readonly idleMs: number;
  /** Whether the last datagram of each is needed: it holds the memory that others share with it. */
  readonly keepLast: boolean;
  /** Somebody is new: its socket is connecting to the target. */
  opened(client: Client): void;
  /** Somebody is forgotten: its socket is closing. */
  removed(client: Client): void;
  /** No socket was to be had for somebody new. */
  failed(error: OSError): void;
}

/** Who sends to a relay, by address: as many as may be, each until nothing has passed for a while. */
export class Clients {
  ever = 0;
  expired = 0;
  readonly #host: ClientsHost;
  readonly #clients = new Map<string, Client>();
  #lastSource: Endpoint | undefined;
  #lastClient: Client | undefined;
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

  /** Whose datagram this is; `undefined` where there is no room for somebody new. */
  of(datagram: Datagram, nowMs: number): Client | undefined {
    const { source } = datagram;
    // Datagrams that came together share their source.
    if (source !== this.#lastSource) {
      this.#lastClient = this.#clients.get(String(source)) ?? this.#open(source, nowMs);
      this.#lastSource = this.#lastClient && source;
    }
    const client = this.#lastClient;
    if (client) {
      client.activeMs = nowMs;
      if (this.#host.keepLast) client.last = datagram;
    }
    return client;
  }

  /** Forgets one of them. */
  remove(client: Client): void {
    if (!this.#clients.delete(String(client.address))) return;
    this.#lastSource = undefined;
    this.#host.removed(client);
  }

  /** Takes nobody new, and forgets all once their sockets are closed. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer?.();
    const clients = [...this.#clients.values()];
    await Promise.all(clients.map(({ upstream }) => upstream.close()));
    for (const client of clients) this.remove(client);
  }

  #open(source: Endpoint, nowMs: number): Client | undefined {
    if (this.#closed || this.#clients.size >= this.#host.maxClients) return undefined;
    try {
      const client = new Client(source, socketFor(this.#host.target), nowMs);
      this.#clients.set(String(source), client);
      this.ever++;
      this.#watch();
      this.#host.opened(client);
      return client;
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      this.#host.failed(error);
      return undefined;
    }
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
      this.remove(client);
    }
  }
}
