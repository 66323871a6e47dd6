import { setTimeout } from "node:timers/promises";

import type { Endpoint } from "../core/address/address.js";
import type { Socket, Unreachable } from "../index.js";
import { Failure, exitCodes } from "./exit.js";
import { isGroup } from "./route-options.js";
import { type Sender, type SendingOptions, closeAll, namingInterface, openSenders } from "./sockets.js";
import { count, notice, warn, wasStopped } from "./terminal.js";
import { refusalText } from "./unreachable.js";
import { formatDuration } from "./values.js";

/** Datagrams that are handed to the sockets together, about. */
const batchDatagrams = 512;

/** The sockets of `datagram send`, and what ICMP says of what they send. */
export class Outlet {
  readonly destinations: readonly Endpoint[];
  readonly #senders: readonly Sender[];
  /** What was told, by destination. */
  readonly #warned = new Set<string>();
  /** What ICMP said of the sockets that have one destination each. */
  readonly #refusals = new Map<Socket, string>();
  readonly #anyRefused = new AbortController();
  readonly #allRefused = new AbortController();

  /** One socket a family and interface, which warns of what ICMP says, where the driver can tell. */
  static async open(to: readonly Endpoint[], options: SendingOptions): Promise<Outlet> {
    const outlet = new Outlet(to, await openSenders(to, options));
    for (const { socket } of outlet.#senders) socket.on("unreachable", (report) => outlet.#warn(report));
    return outlet;
  }

  /** One connected socket a destination and interface, which every driver tells of what ICMP says. */
  static async connect(to: readonly Endpoint[], options: SendingOptions): Promise<Outlet> {
    const senders: Sender[] = [];
    try {
      for (const each of to) senders.push(...(await openSenders([each], options, to.length > 1)));
      const outlet = new Outlet(to, senders);
      await Promise.all(senders.map((sender) => outlet.#watch(sender)));
      return outlet;
    } catch (error) {
      await closeAll(senders);
      throw error;
    }
  }

  private constructor(destinations: readonly Endpoint[], senders: readonly Sender[]) {
    this.destinations = destinations;
    this.#senders = senders;
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
    const sending = this.#senders.map(({ socket, to, how }) =>
      socket.sendMany(payloads.flatMap((data) => to.map((address) => ({ data, address, ...how })))),
    );
    const outcomes = await Promise.allSettled(sending);
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === "rejected") throw namingInterface(outcome.reason, this.#senders[index]?.by);
    }
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
    const by = new Set(this.#senders.flatMap((sender) => sender.by ?? []));
    const interfaces = by.size > 0 ? ` by ${[...by].join(", ")}` : "";
    notice(`sent ${traffic} to ${count(this.destinations.length, "destination")}${interfaces}`);
  }

  close(): Promise<void> {
    return closeAll(this.#senders);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #watch({ socket, to: [to], by }: Sender): Promise<void> {
    // The routes would give a connected socket the address of their own choice, to which nothing comes by the interface.
    // A group never answers, and no ICMP error is sent for it.
    if (by === undefined && to && !isGroup(to)) await socket.connect(to);
    socket.on("unreachable", (report) => {
      this.#refusals.set(socket, refusalText(report, to));
      this.#anyRefused.abort();
      if (this.#refusals.size === this.#senders.length) this.#allRefused.abort();
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
    return this.#senders.reduce((sum, { socket }) => sum + socket.stats().sent[what], 0);
  }
}

/** Reads until the socket is closed, for what fails a read: `node:dgram` tells only a reader what ICMP said. */
async function readOn(s: Socket): Promise<void> {
  for await (const _ of s);
}
