import { OSError } from "../../core/errors/errors.js";
import type { DatagramReading } from "./input.js";
import type { ReplayDatagram, ReplaySkipReason, ReplayTerms } from "./options.js";
import { ReplaySchedule } from "./schedule.js";
import type { ReplayTarget } from "./target.js";

/** The largest number of datagrams, and of bytes of them, that are read before they are sent. */
const maxEntries = 256;
const maxBytes = 1 << 20;
/** How many datagrams may be skipped in a row before the event loop turns. */
const maxSkipped = 64;

/** A datagram that will be sent. */
export interface ReplayEntry<Route extends object> {
  readonly datagram: ReplayDatagram;
  readonly route: Route;
  /** When, in milliseconds from the start of the replay. */
  readonly atMs: number;
  /** Milliseconds from the first datagram of the recording. */
  readonly recordedMs: number;
  /** How many loops ended before it. */
  readonly loop: number;
}

/**
 * Reads the datagrams of a replay before they are sent, so that a slow disk does not delay them. It reads at most two datagrams for
 * each one that is taken, so that reading takes no long time at once.
 */
export class ReplayReadAhead<Route extends object> {
  readonly skipped: Record<ReplaySkipReason, number> = {
    filtered: 0,
    noDestination: 0,
    truncated: 0,
    probablySeveral: 0,
    tooBig: 0,
  };
  /** Loops whose datagrams are all read. */
  loops = 0;
  readonly #open: () => DatagramReading;
  readonly #target: ReplayTarget<Route>;
  readonly #terms: ReplayTerms;
  readonly #changed: () => void;
  readonly #schedule: ReplaySchedule;
  #entries: ReplayEntry<Route>[] = [];
  /** The index of the next entry. */
  #next = 0;
  #bytes = 0;
  /** How many more datagrams may be read now. */
  #credits = maxEntries;
  #readOn: (() => void) | undefined;
  #reading: DatagramReading | undefined;
  #isOver = false;
  #failure: { readonly error: unknown } | undefined;

  /** @param changed is called when there is a datagram again, and at the end. */
  constructor(
    open: () => DatagramReading,
    target: ReplayTarget<Route>,
    terms: ReplayTerms,
    changed: () => void,
  ) {
    this.#open = open;
    this.#target = target;
    this.#terms = terms;
    this.#changed = changed;
    this.#schedule = new ReplaySchedule(terms.speed);
    void this.#readLoops();
  }

  /** Whether all datagrams are read and taken. @throws the error of reading, after all datagrams before it are taken. */
  get isOver(): boolean {
    if (this.#next < this.#entries.length || !this.#isOver) return false;
    if (this.#failure) throw this.#failure.error;
    return true;
  }

  /** Whether all datagrams are read. */
  get isRead(): boolean {
    return this.#isOver;
  }

  /** Whether nothing more is read before a datagram is taken. */
  get isFull(): boolean {
    return !this.#hasRoom;
  }

  /** The datagrams that are read and not taken. */
  get waiting(): number {
    return this.#entries.length - this.#next;
  }

  /** The next datagram; `undefined` if it is not read yet, or at the end. */
  peek(): ReplayEntry<Route> | undefined {
    return this.#entries[this.#next];
  }

  /** Removes the datagram that `peek` returned. */
  take(): void {
    const entry = this.#entries[this.#next++];
    if (!entry) throw new Error("a replay takes no datagram before it is read");
    this.#bytes -= entry.datagram.data.length;
    if (this.#next === maxEntries || this.#next === this.#entries.length) {
      this.#entries = this.#entries.slice(this.#next);
      this.#next = 0;
    }
    this.#credits = Math.min(this.#credits + 2, maxEntries - this.waiting);
    if (!this.#hasRoom) return;
    this.#readOn?.();
    this.#readOn = undefined;
  }

  /** Stops reading, and closes the file. */
  close(): void {
    this.#isOver = true;
    this.#readOn?.();
    // A stream may never return its next bytes, so nobody waits for this.
    this.#reading?.return().catch(() => undefined);
  }

  get #hasRoom(): boolean {
    return this.#credits > 0 && (this.#bytes < maxBytes || this.waiting === 0);
  }

  async #readLoops(): Promise<void> {
    try {
      let chosen = 1;
      while (this.loops < this.#terms.loops && chosen > 0 && !this.#isOver) {
        chosen = await this.#readLoop();
        this.loops++;
        this.#schedule.endLoop();
      }
    } catch (error) {
      this.#failure = { error };
    }
    this.#isOver = true;
    this.#changed();
  }

  /** Reads the file once. Returns the number of datagrams that will be sent. */
  async #readLoop(): Promise<number> {
    const { startMs, endMs, speed } = this.#terms;
    const reading = (this.#reading = this.#open());
    let firstNs: bigint | undefined;
    let chosen = 0;
    let skippedInRow = 0;
    for (;;) {
      const { value: datagram } = await reading.next();
      if (!datagram || this.#isOver) break;
      const { timestamp } = datagram;
      firstNs ??= timestamp;
      const recordedMs =
        timestamp === undefined || firstNs === undefined ? 0 : Number(timestamp - firstNs) / 1e6;
      if (recordedMs > endMs) break;
      const route = startMs > 0 && recordedMs < startMs ? "filtered" : await this.#routeOf(datagram);
      if (typeof route === "string") {
        this.skipped[route]++;
        // Virtual time does not pass while datagrams are read.
        if (++skippedInRow % maxSkipped === 0 && !this.#target.clock.at) await this.#turn();
        continue;
      }
      skippedInRow = 0;
      if (timestamp === undefined && speed !== Infinity) throw noTime(datagram);
      this.#add({ datagram, route, atMs: this.#schedule.next(recordedMs), recordedMs, loop: this.loops });
      chosen++;
      await this.#room();
    }
    await reading.return();
    return chosen;
  }

  #add(entry: ReplayEntry<Route>): void {
    this.#entries.push(entry);
    this.#bytes += entry.datagram.data.length;
    this.#credits--;
    if (this.waiting === 1) this.#changed();
  }

  /** Returns where a datagram is sent, or why it is skipped. */
  async #routeOf(datagram: ReplayDatagram): Promise<Route | ReplaySkipReason> {
    const { isChosen } = this.#terms;
    if (isChosen && !isChosen(datagram)) return "filtered";
    if (datagram.channel !== undefined) throw wholeMessage();
    if (datagram.probablySeveral) return "probablySeveral";
    if (datagram.truncated) return "truncated";
    const route = await this.#target.routeOf(datagram);
    if (route === undefined) return "noDestination";
    return datagram.size > this.#target.maxPayload(route) ? "tooBig" : route;
  }

  /** Waits until there is room for a datagram, or until `close`. */
  async #room(): Promise<void> {
    while (!this.#hasRoom && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#readOn = resolve;
      });
    }
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#target.clock.turn(resolve));
  }
}

function noTime(datagram: ReplayDatagram & { readonly packet?: number }): OSError {
  const { packet } = datagram;
  const which = packet === undefined ? "a datagram" : `packet ${packet} of the file`;
  const why = packet === undefined ? "" : " (simple packet block)";
  const text = `${which} has no time${why}: speed: Infinity sends without times`;
  return new OSError("EINVAL", { syscall: "replay", text });
}

function wholeMessage(): OSError {
  const text = "the stream has whole messages, which are not one datagram each: send them with messages()";
  return new OSError("ENOTSUP", { syscall: "replay", text });
}
