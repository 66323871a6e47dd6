import { setTimeout } from "node:timers/promises";

import type { Endpoint } from "../core/address/address.js";
import { refusalText } from "../core/ledger/report-texts.js";
import type { Socket, Unreachable } from "../index.js";
import { formatDuration } from "../sim/link/unit-texts.js";
import { count } from "../core/ledger/count-text.js";
import { Failure, exitCodes } from "./exit.js";
import { isGroup } from "./route-options.js";
import {
  type SenderSocket,
  type SendingOptions,
  closeAll,
  withInterfaceName,
  openSenders,
} from "./sender-sockets.js";
import { notice, warn, wasStopped } from "./terminal.js";

/** About how many datagrams are passed to the sockets together. */
const batchDatagrams = 512;

/** The sockets of `datagram send`, and the ICMP errors about their datagrams. */
export class SendSession {
  readonly destinations: readonly Endpoint[];
  readonly #senders: readonly SenderSocket[];
  /** The destinations with a warning. */
  readonly #warned = new Set<string>();
  /** The ICMP errors of connected sockets. */
  readonly #refusals = new Map<Socket, string>();
  readonly #anyRefused = new AbortController();
  readonly #allRefused = new AbortController();

  /** Opens one socket for each family and interface. It warns about ICMP errors, if the driver has them. */
  static async open(to: readonly Endpoint[], options: SendingOptions): Promise<SendSession> {
    const session = new SendSession(to, await openSenders(to, options));
    for (const { socket } of session.#senders) socket.on("unreachable", (report) => session.#warn(report));
    return session;
  }

  /** Opens one connected socket for each destination and interface. Every driver has ICMP errors for these. */
  static async connect(to: readonly Endpoint[], options: SendingOptions): Promise<SendSession> {
    const senders: SenderSocket[] = [];
    try {
      for (const each of to) senders.push(...(await openSenders([each], options, to.length > 1)));
      const session = new SendSession(to, senders);
      await Promise.all(senders.map((sender) => session.#watch(sender)));
      return session;
    } catch (error) {
      await closeAll(senders);
      throw error;
    }
  }

  private constructor(destinations: readonly Endpoint[], senders: readonly SenderSocket[]) {
    this.destinations = destinations;
    this.#senders = senders;
  }

  /** How many payloads to pass to one `send`. */
  get batch(): number {
    return Math.ceil(batchDatagrams / this.destinations.length);
  }

  /** The number of datagrams sent so far. */
  get datagrams(): number {
    return this.#sent("datagrams");
  }

  /** Aborts when a destination of a connected socket has refused. */
  get refused(): AbortSignal {
    return this.#anyRefused.signal;
  }

  /** Sends each payload to every destination. A failure does not stop the others. */
  async send(payloads: readonly Buffer[]): Promise<void> {
    const sending = this.#senders.map(({ socket, to, fields }) =>
      socket.sendMany(payloads.flatMap((data) => to.map((address) => ({ data, address, ...fields })))),
    );
    const outcomes = await Promise.allSettled(sending);
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === "rejected") throw withInterfaceName(outcome.reason, this.#senders[index]?.by);
    }
  }

  /**
   * Waits `ms` for a refusal, or until each destination has refused.
   *
   * @throws `Failure` that names each destination that refused, or that says that `stop` ended the wait.
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
    if (stop.aborted) throw new Failure(exitCodes.error, `interrupted while waiting ${time} for a refusal`);
    notice(`no refusal came in ${time}: that does not prove that it arrived`);
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

  async #watch({ socket, to: [to], by }: SenderSocket): Promise<void> {
    // With --interface it is not connected: connect would choose a source address by the routes, and no ICMP error for it
    // would arrive on the interface. A group never refuses: no ICMP error is sent for multicast.
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

/** Reads until the socket is closed, because `node:dgram` reports ICMP errors only to a reader. */
async function readOn(s: Socket): Promise<void> {
  for await (const _ of s);
}
