import { setTimeout } from "node:timers/promises";

import type { Endpoint } from "../core/address.js";
import type { Socket, Unreachable } from "../index.js";
import { Failure, exitCodes } from "./exit.js";
import { sendingSocket } from "./sockets.js";
import { count, notice, warn, wasStopped } from "./terminal.js";
import { refusalText } from "./unreachable.js";
import { formatDuration } from "./values.js";

/** Datagrams that are handed to the sockets together, about. */
const batchDatagrams = 512;

/** A socket and where it sends. */
interface Route {
  readonly socket: Socket;
  readonly to: readonly Endpoint[];
}

/** The sockets of `datagram send`, and what ICMP says of what they send. */
export class Outlet {
  readonly destinations: readonly Endpoint[];
  readonly #routes: readonly Route[];
  /** What was told, by destination. */
  readonly #warned = new Set<string>();
  /** What ICMP said of the sockets that have one destination each. */
  readonly #refusals = new Map<Socket, string>();
  readonly #anyRefused = new AbortController();
  readonly #allRefused = new AbortController();

  /** One socket a family, which warns of what ICMP says, where the driver can tell. */
  static open(to: readonly Endpoint[], broadcast: boolean): Outlet {
    const families = [...new Set(to.map(({ family }) => family))];
    const outlet = new Outlet(
      to,
      families.map((family) => ({
        socket: sendingSocket(family, broadcast),
        to: to.filter((each) => each.family === family),
      })),
    );
    for (const { socket } of outlet.#routes) socket.on("unreachable", (report) => outlet.#warn(report));
    return outlet;
  }

  /** One connected socket a destination, which every driver tells of what ICMP says. */
  static async connect(to: readonly Endpoint[], broadcast: boolean): Promise<Outlet> {
    const outlet = new Outlet(
      to,
      to.map((each) => ({ socket: sendingSocket(each.family, broadcast), to: [each] })),
    );
    try {
      await Promise.all(outlet.#routes.map((route) => outlet.#watch(route)));
    } catch (error) {
      await outlet.close();
      throw error;
    }
    return outlet;
  }

  private constructor(destinations: readonly Endpoint[], routes: readonly Route[]) {
    this.destinations = destinations;
    this.#routes = routes;
  }

  /** How many payloads to give to one `send`. */
  get batch(): number {
    return Math.ceil(batchDatagrams / this.destinations.length);
  }

  /** Datagrams that were sent so far. */
  get datagrams(): number {
    return this.#sent("datagrams");
  }

  /** Aborts when a destination of a connected socket has refused. */
  get refused(): AbortSignal {
    return this.#anyRefused.signal;
  }

  /** Sends each payload to every destination. What fails does not keep the others from being sent. */
  async send(payloads: readonly Buffer[]): Promise<void> {
    const sending = this.#routes.map(({ socket, to }) =>
      socket.sendMany(payloads.flatMap((data) => to.map((address) => ({ data, address })))),
    );
    const outcomes = await Promise.allSettled(sending);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  /**
   * Waits so long for a refusal, or until each destination has refused.
   *
   * @throws `Failure` that names each one that has; another where `stop` ended the wait.
   */
  async confirm(ms: number, stop: AbortSignal): Promise<void> {
    try {
      await setTimeout(ms, undefined, { signal: AbortSignal.any([stop, this.#allRefused.signal]) });
    } catch (error) {
      if (!wasStopped(error)) throw error;
    }
    const refusals = new Set(this.#refusals.values());
    if (refusals.size > 0) throw new Failure(exitCodes.refused, [...refusals].join("; "));
    const time = formatDuration(ms);
    if (stop.aborted)
      throw new Failure(exitCodes.error, `interrupted before ${time} without a refusal were over`);
    notice(`no refusal came in ${time}: that is not a proof that it arrived`);
  }

  summary(): void {
    const traffic = `${count(this.datagrams, "datagram")}, ${count(this.#sent("bytes"), "byte")}`;
    notice(`sent ${traffic} to ${count(this.destinations.length, "destination")}`);
  }

  async close(): Promise<void> {
    await Promise.all(this.#routes.map(({ socket }) => socket.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #watch({ socket, to: [to] }: Route): Promise<void> {
    await socket.connect(to ?? null);
    socket.on("unreachable", (report) => {
      this.#refusals.set(socket, refusalText(report, to));
      this.#anyRefused.abort();
      if (this.#refusals.size === this.#routes.length) this.#allRefused.abort();
    });
    void readOn(socket);
  }

  #warn(report: Unreachable): void {
    const destination = String(report.destination);
    if (this.#warned.has(destination)) return;
    this.#warned.add(destination);
    warn(refusalText(report, report.destination));
  }

  #sent(what: "datagrams" | "bytes"): number {
    return this.#routes.reduce((sum, { socket }) => sum + socket.stats().sent[what], 0);
  }
}

/** Reads until the socket is closed, for what fails a read: `node:dgram` tells only a reader what ICMP said. */
async function readOn(s: Socket): Promise<void> {
  for await (const _ of s);
}
