import { setTimeout } from "node:timers/promises";

import { refusalText } from "../core/ledger/report-texts.js";
import { OSError } from "../index.js";
import type { Relay, RelayStats, TargetStats } from "../proxy/index.js";
import { count } from "../core/ledger/count-text.js";
import { jsonLine } from "./payload.js";
import { directionText, statusLine, statusText } from "./relay-status.js";
import { hasStatusLine, StatusLine } from "./status-line.js";
import { notice, print, warn, wasStopped } from "./terminal.js";

/** Milliseconds between two checks of the counts. */
const intervalMs = 1000;
/** Checks for each line, if there is no status line. */
const checksPerLine = 10;

/** Warns about this many new clients in a row that begin with the same datagram and get no answer. */
const alikeWarningLimit = 32;

/** Reports the counts of a relay while it runs and at the end. */
export class RelayReport {
  readonly #relay: Relay;
  readonly #json: boolean;
  #told = "";
  readonly #warned = new Set<string>();
  /** The moves of each target that were reported. */
  readonly #moves = new Map<number, number>();

  /** @param json whether reports are objects on standard output. */
  constructor(relay: Relay, json: boolean) {
    this.#relay = relay;
    this.#json = json;
  }

  /** Reports regularly, until `signal` aborts or `durationMs` have passed. */
  async run(signal: AbortSignal, durationMs: number | undefined): Promise<void> {
    const end = performance.now() + (durationMs ?? Infinity);
    const textFor = (columns: number): string => statusLine(this.#relay.stats(), columns);
    const line = this.#json ? undefined : new StatusLine(textFor, intervalMs);
    try {
      for (let check = 1; performance.now() < end; check++) {
        await setTimeout(Math.min(intervalMs, end - performance.now()), undefined, { signal });
        const stats = this.#relay.stats();
        this.#warn(stats);
        if (this.#json) await this.#tellObject(stats, signal);
        else if (!hasStatusLine && check % checksPerLine === 0) this.#tellLine(stats);
      }
    } catch (error) {
      if (!wasStopped(error)) throw error;
    } finally {
      line?.end();
    }
  }

  /** Reports all counts, after the relay is closed. */
  async end(): Promise<void> {
    const stats = this.#relay.stats();
    this.#warn(stats);
    if (this.#json) await this.#tellObject(stats);
    const { ever, expired } = stats.clients;
    notice(`${count(ever, "client")}${expired > 0 ? `, ${expired} of them idle for too long` : ""}`);
    notice(`  up:   ${directionText(stats.up)}`);
    notice(`  down: ${directionText(stats.down)}`);
    for (const { rule, up, down } of stats.rules) notice(`  rule ${rule}: ${up} up, ${down} down`);
    for (const { target, address, moves, movedClients } of stats.targets) {
      if (moves === 0) continue;
      notice(
        `  ${target} moved ${count(moves, "time")}, the last time to ${address}, with ${count(movedClients, "client")}`,
      );
    }
    for (const [code, times] of Object.entries(stats.errors)) notice(`  errors: ${times}, ${code}`);
  }

  #tellLine(stats: RelayStats): void {
    const line = statusText(stats);
    if (line !== this.#told) notice(line);
    this.#told = line;
  }

  async #tellObject(stats: RelayStats, signal?: AbortSignal): Promise<void> {
    const told = JSON.stringify(stats);
    if (told === this.#told) return;
    this.#told = told;
    await print(jsonLine({ time: new Date().toISOString(), ...stats }), signal);
  }

  /** Warns about problems, once for each kind. */
  #warn({ up, down, errors, targets, rules, clients, alikeInRow }: RelayStats): void {
    for (const [index, target] of targets.entries()) this.#warnOfTarget(target, index);
    for (const { rule, error } of rules) {
      if (error !== undefined) this.#warnOnce(`rule ${rule}`, `the rule ${rule} has ended: ${error}`);
    }
    for (const code of Object.keys(down.unreachable)) {
      this.#warnOnce(`down ${code}`, `a client cannot be reached: ${new OSError(code).message}`);
    }
    for (const code of Object.keys(errors)) this.#warnOnce(code, new OSError(code).message);
    if (up.refused > 0) {
      this.#warnOnce(
        "refused",
        `some clients are refused: there are ${clients.now}, the limit of --clients or of open sockets; ` +
          `${count(up.refused, "datagram")} of refused clients dropped so far`,
      );
    }
    if (up.looped > 0) {
      this.#warnOnce(
        "looped",
        "what the proxy sends to the target comes back to it, through another relay or a NAT: it is dropped",
      );
    }
    if (alikeInRow >= alikeWarningLimit) {
      this.#warnOnce(
        "alike",
        `${alikeInRow} new clients in a row began with the same datagram, and got no answer: if they are not real clients, the ` +
          "proxy's own datagrams come back to it, through a loop of relays or a NAT",
      );
    }
  }

  #warnOfTarget(
    { target, address, unreachable, lastUnreachable, moves, movedClients, lastError }: TargetStats,
    index: number,
  ): void {
    for (const code of Object.keys(unreachable)) {
      this.#warnOnce(`up ${code} ${index}`, refusalText({ code }, lastUnreachable));
    }
    if (lastError !== undefined) {
      this.#warnOnce(`failed ${index}`, `${target} stays ${address} for now: ${lastError}`);
    }
    if (moves > (this.#moves.get(index) ?? 0)) {
      this.#moves.set(index, moves);
      notice(`${target} is ${address} now: ${count(movedClients, "client")} moved so far`);
    }
  }

  #warnOnce(what: string, text: string): void {
    if (this.#warned.has(what)) return;
    this.#warned.add(what);
    warn(text);
  }
}
