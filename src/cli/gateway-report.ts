import { setTimeout } from "node:timers/promises";

import type { AnswerStats, Gateway, GatewayStats, Losses as GatewayLosses } from "../gateway/index.js";
import type { Listener } from "./listener.js";
import { Losses } from "./losses.js";
import { jsonLine } from "./payload.js";
import { StatusLine } from "./status-line.js";
import { count, notice, print, wasStopped } from "./terminal.js";

/** Milliseconds between two versions of the counts. */
const intervalMs = 1000;

interface Port {
  readonly listener: Listener;
  readonly running: Gateway;
}

/** The counts of all ports together. */
type Counts = Pick<
  GatewayStats,
  "received" | "stored" | "shed" | "refused" | "inFlight" | "waiting" | "resent" | "resentLate" | "duplicates"
>;

const names = [
  "received",
  "stored",
  "shed",
  "refused",
  "inFlight",
  "waiting",
  "resent",
  "resentLate",
  "duplicates",
] as const satisfies readonly (keyof Counts)[];

const answerNames = [
  "requests",
  "sent",
  "notSent",
  "unknown",
  "pending",
  "byOthers",
  "unreachable",
  "peers",
  "forgotten",
] as const satisfies readonly (keyof AnswerStats)[];

/** Reports the counts and the losses of `datagram gateway` while it runs and at the end. */
export class GatewayReport {
  readonly #json: boolean;
  readonly #ports: Port[] = [];
  #state: "connected" | "disconnected" = "connected";
  #kernel: Losses | undefined;
  #told = "";

  /** @param json whether the counts are objects on standard output. */
  constructor(json: boolean) {
    this.#json = json;
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
    this.#kernel = new Losses(sources, this.#json);
    const line = this.#json
      ? undefined
      : new StatusLine((columns) => statusLine(this.#counts(), columns), intervalMs);
    const ended = Promise.race(this.#ports.map(({ running }) => running.closed));
    try {
      while (!signal.aborted) {
        const isOver = await Promise.race([
          ended.then(() => true),
          setTimeout(intervalMs, false, { signal }),
        ]);
        if (this.#json) await this.#tellObject(signal);
        if (isOver) return;
      }
    } catch (error) {
      if (!wasStopped(error)) throw error;
    } finally {
      line?.end();
    }
  }

  /** Ends the gateways, and waits until their datagrams are settled. */
  async close(): Promise<void> {
    this.#kernel?.end();
    await Promise.allSettled(this.#ports.map(({ running }) => running.close()));
  }

  /** Prints the summary, after `close`. @returns the number of received datagrams that are not stored. */
  async end(): Promise<number> {
    if (this.#json) await this.#tellObject();
    const counts = this.#counts();
    notice(`${count(counts.received, "datagram")} received`);
    notice(`  stored: ${counts.stored}`);
    notice(`  shed: ${counts.shed}`);
    notice(`  refused: ${counts.refused}`);
    for (const [reason, datagrams] of this.#reasons()) notice(`    ${reason}: ${datagrams}`);
    notice(`  without an answer of the server: ${counts.inFlight}`);
    if (counts.resent > 0) notice(`  sent again: ${counts.resent}`);
    if (counts.resentLate > 0) notice(`    so late that they may be stored twice: ${counts.resentLate}`);
    this.#tellAnswers();
    for (const { listener } of this.#ports) {
      if (this.#ports.length > 1) notice(`on ${listener.address}:`);
      await listener.end();
    }
    this.#kernel?.summary();
    return counts.received - counts.stored;
  }

  /** Tells of datagrams that were shed and refused. */
  losses({ shed, peers, refused }: GatewayLosses): void {
    const [first] = peers;
    if (shed > 0 && first) {
      const most =
        peers.length > 1 ? `, ${first.datagrams} of them from ${first.peer}` : ` from ${first.peer}`;
      const why = this.#state === "connected" ? "the server is too slow" : "the server is away";
      notice(`shed ${count(shed, "datagram")}${most}: ${why}`);
    }
    for (const [reason, datagrams] of Object.entries(refused))
      notice(`refused ${count(datagrams, "datagram")}: ${reason}`);
  }

  /** Tells of the connection, once for all ports. */
  connection(state: "connected" | "disconnected"): void {
    if (state === this.#state) return;
    this.#state = state;
    notice(
      state === "connected"
        ? "connected to the server again"
        : "the connection to the server is lost: datagrams wait",
    );
  }

  #counts(): Counts {
    const all = this.#ports.map(({ running }) => running.stats());
    const sums = names.map((name) => [name, all.reduce((sum, stats) => sum + stats[name], 0)]);
    return Object.fromEntries(sums) as Counts;
  }

  #reasons(): Map<string, number> {
    return sumByName(this.#ports.map(({ running }) => running.stats().refusedBy));
  }

  /** The counts of answers of all ports; `undefined` if answers are switched off. */
  #answers():
    (Omit<AnswerStats, "notSentBy"> & { readonly notSentBy: ReadonlyMap<string, number> }) | undefined {
    const all = this.#ports.flatMap(({ running }) => running.stats().answers ?? []);
    if (all.length === 0) return undefined;
    const sums = answerNames.map((name) => [name, all.reduce((sum, stats) => sum + stats[name], 0)]);
    const notSentBy = sumByName(all.map((stats) => stats.notSentBy));
    return { ...(Object.fromEntries(sums) as Record<(typeof answerNames)[number], number>), notSentBy };
  }

  #tellAnswers(): void {
    const answers = this.#answers();
    if (answers === undefined || answers.requests === 0) return;
    notice(`  answers sent: ${answers.sent}`);
    if (answers.unreachable > 0) notice(`    that came back unreachable: ${answers.unreachable} at least`);
    for (const [code, times] of answers.notSentBy) notice(`  answers not sent: ${times}, ${code}`);
    const { unknown, pending } = answers;
    if (unknown + pending > 0) notice(`  answers of which nobody knows: ${unknown + pending}`);
  }

  async #tellObject(signal?: AbortSignal): Promise<void> {
    const answers = this.#answers();
    const told = {
      ...this.#counts(),
      refusedBy: Object.fromEntries(this.#reasons()),
      answers: answers && { ...answers, notSentBy: Object.fromEntries(answers.notSentBy) },
    };
    const text = JSON.stringify(told);
    if (text === this.#told) return;
    this.#told = text;
    await print(jsonLine({ time: new Date().toISOString(), ...told }), signal);
  }
}

function sumByName(all: readonly Readonly<Record<string, number>>[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const counts of all)
    for (const [name, count] of Object.entries(counts)) sums.set(name, (sums.get(name) ?? 0) + count);
  return sums;
}

/** The counts on one line. A line that is too long has no count of datagrams in flight. */
function statusLine({ received, stored, shed, refused, inFlight }: Counts, columns: number): string {
  const short = `${received} received | ${stored} stored | ${shed} shed | ${refused} refused`;
  const line = `${short} | ${inFlight} in flight`;
  return line.length <= columns ? line : short;
}
