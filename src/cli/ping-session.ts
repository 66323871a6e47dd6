import { setTimeout as wait } from "node:timers/promises";

import type { Endpoint } from "../core/address/address.js";
import { mayBeIcmp } from "../core/driver/icmp.js";
import { refusalText } from "../core/ledger/report-texts.js";
import { type Datagram, OSError, type Socket, type Unreachable } from "../index.js";
import { formatDuration, formatShare } from "../sim/link/unit-texts.js";

import { count } from "../core/ledger/count-text.js";
import { jsonLine } from "./payload.js";
import type { Probes } from "./ping-probes.js";
import { RoundTrips } from "./round-trips.js";
import { notice, onOutput, print, wasStopped } from "./terminal.js";

/** The largest number of datagrams that are read together. */
const batchDatagrams = 64;
/** Probes whose state is kept, so that late and repeated answers are known. */
const maxKept = 65_536;

/** The options of a ping that its session needs. */
export interface PingOptions {
  readonly count?: number;
  readonly interval: number;
  readonly timeout: number;
  readonly json?: boolean;
}

interface Probe {
  readonly number: number;
  readonly sentAt: number;
  state: "waiting" | "lost" | "answered";
  /** Ends the wait for the answer. */
  readonly cancel: () => void;
}

/** The probes to one peer, from the first to the summary. */
export class PingSession {
  readonly #socket: Socket;
  readonly #to: Endpoint;
  readonly #probes: Probes;
  readonly #options: PingOptions;
  readonly #roundTrips = new RoundTrips();
  readonly #sent = new Map<number, Probe>();
  /** Aborts when every probe of `--count` was answered or is lost. */
  readonly #done = new AbortController();
  #newest = 0;
  #waiting = 0;
  #lost = 0;
  #duplicates = 0;
  #isEchoed = true;
  #output: Promise<void> = Promise.resolve();
  #refusal: string | undefined;

  /** @param s is connected to the peer. */
  constructor(s: Socket, to: Endpoint, probes: Probes, options: PingOptions) {
    this.#socket = s;
    this.#to = to;
    this.#probes = probes;
    this.#options = options;
    s.on("unreachable", (report) => this.#unreachable(report));
  }

  /** The number of probes that were answered. */
  get answered(): number {
    return this.#roundTrips.count;
  }

  /** The text of the last ICMP error. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** Sends probes until `--count` or the signal, and prints each answer. */
  async run(stop: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([stop, this.#done.signal]);
    try {
      await Promise.all([this.#send(signal), this.#receive(signal)]);
    } catch (error) {
      if (!wasStopped(error)) throw error;
    } finally {
      for (const { cancel } of this.#sent.values()) cancel();
    }
    await this.#output;
    await this.#summary();
  }

  async #send(signal: AbortSignal): Promise<void> {
    const { count: wanted = Infinity, interval } = this.#options;
    const { clock } = this.#socket;
    let next = clock.now();
    while (this.#newest < wanted) {
      await this.#sendOne(++this.#newest);
      if (this.#newest === wanted) break;
      next = Math.max(next + interval, clock.now());
      await wait(next - clock.now(), undefined, { signal });
    }
    this.#checkDone();
  }

  async #sendOne(number: number): Promise<void> {
    const { clock } = this.#socket;
    // The clock of the socket reads what has come before a late timer runs.
    const cancel = clock.after(this.#options.timeout, () => this.#timedOut(probe));
    const probe: Probe = { number, sentAt: clock.now(), state: "waiting", cancel };
    this.#sent.set(number, probe);
    this.#sent.delete(number - maxKept);
    this.#waiting++;
    try {
      await this.#socket.send(this.#probes.payload(number));
    } catch (error) {
      if (!(error instanceof OSError && mayBeIcmp(error.code))) throw error;
    }
  }

  async #receive(signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        const datagrams = await this.#socket.recvMany(batchDatagrams, { signal });
        const now = this.#socket.clock.now();
        for (const datagram of datagrams) this.#take(datagram, now);
      } catch (error) {
        if (!(error instanceof OSError && mayBeIcmp(error.code))) throw error;
      }
    }
  }

  #take({ data, size }: Datagram, now: number): void {
    const number = this.#probes.answered(data);
    if (number === "newest") this.#isEchoed = false;
    const probe = number === "newest" ? this.#newestWaiting() : this.#sent.get(number ?? 0);
    if (!probe) return;
    const rttMs = now - probe.sentAt;
    const { state } = probe;
    if (state === "answered") this.#duplicates++;
    else {
      if (state === "waiting") this.#ended(probe);
      else this.#lost--;
      probe.state = "answered";
      this.#roundTrips.add(rttMs);
    }
    const note = { answered: ", again", lost: ", late", waiting: "" }[state];
    this.#print(
      {
        event: "answer",
        seq: probe.number,
        rttMs: milliseconds(rttMs),
        size,
        late: state === "lost",
        duplicate: state === "answered",
      },
      `${count(size, "byte")} from ${onOutput("cyan", String(this.#to))}: seq=${probe.number} time=${rttMs.toFixed(2)} ms${note}`,
    );
    this.#checkDone();
  }

  #newestWaiting(): Probe | undefined {
    for (let number = this.#newest; this.#sent.has(number); number--) {
      const probe = this.#sent.get(number);
      if (probe?.state === "waiting") return probe;
      // What came long ago is not looked at for each datagram.
      if (this.#newest - number > batchDatagrams) return undefined;
    }
    return undefined;
  }

  #timedOut(probe: Probe): void {
    this.#lose(probe);
    const text = `seq=${probe.number} lost: no answer in ${formatDuration(this.#options.timeout)}`;
    this.#print({ event: "lost", seq: probe.number }, text);
    this.#checkDone();
  }

  /** An ICMP error, which does not tell its probe: it counts for the oldest one that waits. */
  #unreachable(report: Unreachable): void {
    this.#refusal = refusalText(report, this.#to);
    for (const probe of this.#sent.values()) {
      if (probe.state !== "waiting") continue;
      this.#lose(probe);
      const { code, kind, from } = report;
      this.#print(
        { event: "unreachable", seq: probe.number, code, kind, from },
        `seq=${probe.number} ${this.#refusal}`,
      );
      break;
    }
    this.#checkDone();
  }

  #lose(probe: Probe): void {
    this.#ended(probe);
    probe.state = "lost";
    this.#lost++;
  }

  #ended(probe: Probe): void {
    probe.cancel();
    this.#waiting--;
  }

  #checkDone(): void {
    if (this.#newest === this.#options.count && this.#waiting === 0) this.#done.abort();
  }

  #print(fields: object, text: string): void {
    const { json } = this.#options;
    const line = json ? jsonLine({ time: new Date().toISOString(), ...fields }) : `${text}\n`;
    this.#output = this.#output.then(() => print(line));
  }

  async #summary(): Promise<void> {
    const stats = this.#roundTrips.stats();
    const sent = this.#newest;
    const lossRatio = this.answered + this.#lost === 0 ? 0 : this.#lost / (this.answered + this.#lost);
    if (this.#options.json) {
      const rounded =
        stats && Object.fromEntries(Object.entries(stats).map(([name, ms]) => [name, milliseconds(ms)]));
      const counts = { sent, answered: this.answered, lost: this.#lost, duplicates: this.#duplicates };
      await print(
        jsonLine({
          time: new Date().toISOString(),
          event: "summary",
          destination: this.#to,
          ...counts,
          lossRatio,
          ...rounded,
        }),
      );
      return;
    }
    const more = [
      ...(this.#waiting > 0 ? [`${this.#waiting} under way`] : []),
      ...(this.#duplicates > 0 ? [count(this.#duplicates, "duplicate")] : []),
    ];
    notice(
      [
        `${count(sent, "probe")} to ${this.#to}: ${this.answered} answered`,
        `${this.#lost} lost (${formatShare(lossRatio)})`,
        ...more,
      ].join(", "),
    );
    if (!stats) return;
    const { minMs, medianMs, p99Ms, maxMs, jitterMs } = stats;
    const spread = `min ${shown(minMs)}, median ${shown(medianMs)}, p99 ${shown(p99Ms)}, max ${shown(maxMs)} ms`;
    notice(`round trip: ${spread}; jitter ${shown(jitterMs)} ms`);
    if (!this.#isEchoed)
      notice("the answers do not repeat the probes: each counts for the newest one that waits");
  }
}

function milliseconds(ms: number): number {
  return Number(ms.toFixed(3));
}

function shown(ms: number): string {
  return ms.toFixed(2);
}
