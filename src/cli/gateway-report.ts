import { setTimeout } from "node:timers/promises";

import type { Gateway, GatewayStats, Losses as GatewayLosses } from "../gateway/index.js";
import { count } from "../core/ledger/count-text.js";
import {
  CountsLines,
  checkStored,
  foreignWarning,
  nounOf,
  noticeSummary,
  statusText,
  sumStats,
  todoAbout,
  tooLong,
} from "./gateway-counts.js";
import { warnOfForeign } from "./foreign-datagrams.js";
import type { Listener } from "./listener.js";
import { Losses } from "./losses.js";
import { StatusLine } from "./status-line.js";
import { cleanUpIfKilled, notice, wasStopped } from "./terminal.js";

/** Milliseconds between two versions of the counts. */
const intervalMs = 1000;

interface Port {
  readonly listener: Listener;
  readonly running: Gateway;
}

/** Reports the counts and the losses of `datagram gateway` while it runs and at the end. */
export class GatewayReport {
  readonly #json: boolean;
  readonly #tellParent: ((counts: GatewayStats) => Promise<void>) | undefined;
  readonly #ports: Port[] = [];
  #state: "connected" | "disconnected" = "connected";
  #kernel: Losses | undefined;
  readonly #lines = new CountsLines();
  #toldTooLong = 0;

  /**
   * @param json whether the counts are objects on standard output.
   * @param tellParent takes the counts in a worker, which prints none.
   */
  constructor(json: boolean, tellParent?: (counts: GatewayStats) => Promise<void>) {
    this.#json = json;
    this.#tellParent = tellParent;
  }

  /** Adds the gateway of a port, before `run`. */
  add(listener: Listener, running: Gateway): void {
    this.#ports.push({ listener, running });
  }

  /** Reports until `signal` aborts or a gateway ends. @throws the failure of a gateway. */
  async run(signal: AbortSignal): Promise<void> {
    const sources = this.#ports.map(({ listener: { socket, answering, address } }) => ({
      socket,
      answering,
      local: this.#ports.length > 1 ? address : undefined,
    }));
    // For a worker, the losses of the other workers would be losses of the host. The parent tells what the kernel dropped.
    this.#kernel = new Losses(sources, this.#json, this.#tellParent !== undefined);
    const line =
      this.#json || this.#tellParent
        ? undefined
        : new StatusLine((columns) => statusText(this.#counts(), columns), intervalMs);
    // The parent warns once for all workers.
    const endWarning = this.#tellParent ? undefined : warnOfForeign(() => foreignWarning(this.#counts()));
    const ended = Promise.race(this.#ports.map(({ running }) => running.closed));
    // A race in each round would keep a reaction of each round until the end.
    const over = new AbortController();
    ended.then(
      () => over.abort(),
      () => over.abort(),
    );
    const wakes = AbortSignal.any([signal, over.signal]);
    try {
      while (!signal.aborted) {
        await setTimeout(intervalMs, undefined, { signal: wakes }).catch((error: unknown) => {
          if (!over.signal.aborted) throw error;
        });
        await this.#tell(signal);
        if (over.signal.aborted) {
          await ended;
          return;
        }
      }
    } catch (error) {
      if (!wasStopped(error)) throw error;
    } finally {
      endWarning?.();
      line?.end();
    }
  }

  /** Ends the gateways, and waits until their datagrams are settled. */
  async close(): Promise<void> {
    this.#kernel?.end();
    const undo = this.#tellParent ? undefined : cleanUpIfKilled(() => noticeSummary(this.#counts()));
    await Promise.allSettled(this.#ports.map(({ running }) => running.close()));
    undo?.();
  }

  /** Prints the summary, after `close`. @throws `Failure` if something is not stored. A worker leaves that to its parent. */
  async end(): Promise<void> {
    await this.#tell();
    const counts = this.#counts();
    if (this.#tellParent) return;
    noticeSummary(counts);
    for (const { listener } of this.#ports) {
      if (this.#ports.length > 1) notice(`on ${listener.address}:`);
      await listener.end();
    }
    this.#kernel?.summary();
    checkStored(counts);
  }

  /** Tells of datagrams that were shed and refused. */
  losses({ shed, peers, refused }: GatewayLosses): void {
    const [first] = peers;
    if (shed > 0 && first) {
      const most =
        peers.length > 1 ? `, ${first.datagrams} of them from ${first.peer}` : ` from ${first.peer}`;
      const taker = this.#ports.some(({ running }) => running.stats().folder) ? "disk" : "server";
      const why = this.#state === "connected" ? `the ${taker} is too slow` : "the server is away";
      notice(`shed ${count(shed, this.#noun)}${most}: ${why}`);
    }
    for (const [reason, datagrams] of Object.entries(refused))
      notice(`refused ${count(datagrams, this.#noun)}: ${reason}${todoAbout(reason)}`);
  }

  /** Tells of the connection, once for all ports. */
  connection(state: "connected" | "disconnected"): void {
    if (state === this.#state) return;
    this.#state = state;
    notice(
      state === "connected"
        ? "connected to the server again"
        : `the connection to the server is lost: ${this.#noun}s wait`,
    );
  }

  get #noun(): string {
    return nounOf(this.#counts());
  }

  #counts(): GatewayStats {
    return sumStats(this.#ports.map(({ running }) => running.stats()));
  }

  async #tell(signal?: AbortSignal): Promise<void> {
    const counts = this.#counts();
    await this.#tellParent?.(counts);
    const refused = counts.messages?.refused ?? 0;
    if (refused > this.#toldTooLong) {
      notice(`refused ${count(refused - this.#toldTooLong, "message")}: ${tooLong}`);
      this.#toldTooLong = refused;
    }
    if (this.#json && !this.#tellParent) await this.#lines.print(counts, signal);
  }
}
