import type { Random } from "../random.js";
import { Fakes } from "./fakes.js";
import { RealWork } from "./real-work.js";
import { real } from "./real-timers.js";
import { Timer, type Schedule } from "./schedule.js";
import { StuckError } from "./stuck-error.js";
import { type Happening, nsPerMs } from "./timeline.js";

/** What a run asks of the network that it is of. */
export interface RunHooks {
  /** What the program draws at random comes from it; from Node's own without it. */
  readonly random?: Random | undefined;
  /** Who waits for what, one line each. */
  waiting(): readonly string[];
  /** What the run rejects with, given what went wrong. */
  failure(error: unknown): unknown;
  /** Called when the body has settled, still in virtual time, which goes on until what it gives has settled. */
  ended(): Promise<void> | void;
}

/** How long a run may take. */
export interface RunLimits {
  /** Ends it with its reason. */
  readonly signal: AbortSignal | undefined;
  /** Virtual milliseconds. */
  readonly limitMs: number;
  /** Real milliseconds, about, that work outside virtual time may hold the clock without a break. */
  readonly realLimitMs: number;
}

/**
 * A real immediate is what lets promises and ticks run: after it, all of them have, however long their chains. Node lets
 * them run after each one of several that were queued together, and goes round its event loop once for all. Measured on
 * Node 20.20, with one question for real work each: queued one by one 625 ns, 4 at once 281 ns, 16 at once 201 ns, 64 at
 * once 212 ns (that question counts immediates).
 */
const batchSteps = 16;

/**
 * One turn of the event loop does not show that nothing more comes of itself: a message of a worker, or what ends a piece
 * of real work, may take a few. So many are made before a run's first jump, after real work, and before it is said that
 * nothing can happen any more; before every jump they would cost 40 µs.
 */
const idleTurns = 64;

/** Happenings in a row, none of which told a program of anything, before real input and output have their chance. */
const mostInRow = 1_024;

/** Turns that real work is waited for at full speed, a millisecond or two; after that once a millisecond. */
const fastWaits = 2_000;

/** More happenings at one instant than any network that makes progress has. */
const mostAtInstant = 1_000_000;

/** The last ones of them, whose names tell who it is. */
const mostNamed = 100;

/** What `RunHooks.ended` may take: sockets linger no longer. */
const closingNs = 60_000 * nsPerMs;

/** One run of a program in virtual time. */
export class Run {
  readonly #schedule: Schedule;
  readonly #hooks: RunHooks;
  readonly #limits: RunLimits;
  readonly #done: () => void;
  readonly #realWork = new RealWork();
  #fakes: Fakes | undefined;
  /** What is awaited now: the body, then the end. */
  #drive: Drive | undefined;
  /** Real immediates and timers that are under way, each of which is a `#step`. */
  #queued = 0;
  /** Whether the globals are what they were, and the thread is free for another run. */
  #over = false;
  /** Promises that the clock is held for. */
  #held = 0;
  #idleTurns = idleTurns;
  /** Whether nothing was left to happen, before the idle turns that are being made. */
  #exhausted = false;
  /** Steps in a row that found real work. */
  #waits = 0;
  #atInstant = 0;
  readonly #busy = new Set<string>();

  /** @param done is told when the run is over, within the call that ends it. */
  constructor(schedule: Schedule, hooks: RunHooks, limits: RunLimits, done: () => void) {
    this.#schedule = schedule;
    this.#hooks = hooks;
    this.#limits = limits;
    this.#done = done;
  }

  /** @throws `Error` when the globals cannot be faked; else whatever `RunHooks.failure` makes of what went wrong. */
  async execute<T>(body: () => Promise<T> | T): Promise<T> {
    const { signal, limitMs } = this.#limits;
    const abort = (): void => this.#abort(signal?.reason);
    try {
      const beginning = this.#realWork.settle();
      if (beginning) await beginning;
      signal?.throwIfAborted();
      this.#fakes = new Fakes(this.#schedule, this.#realWork, this.#hooks.random);
      signal?.addEventListener("abort", abort);
      const outcome = await settled(this.#until(body, limitMs * nsPerMs));
      const closing = this.#over ? outcome : await settled(this.#until(() => this.#hooks.ended(), closingNs));
      if ("error" in outcome) throw this.#hooks.failure(outcome.error);
      if ("error" in closing) throw this.#hooks.failure(closing.error);
      return outcome.value;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#end();
    }
  }

  /** Who aborts goes on at once, such as the next test: all is as it was when this returns. */
  #abort(reason: unknown): void {
    const drive = this.#drive;
    if (!drive || this.#over) return;
    this.#drive = undefined;
    void settled(Promise.resolve(this.#hooks.ended()));
    this.#end();
    drive.reject(reason);
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#fakes?.uninstall();
    this.#schedule.endRun();
    this.#done();
  }

  /** Holds the clock until a promise has settled. */
  async hold<T>(promise: Promise<T>): Promise<T> {
    this.#held++;
    try {
      return await promise;
    } finally {
      this.#held--;
    }
  }

  /** Lets things happen until what `body` gives has settled, or it is clear that it never will. */
  #until<T>(body: () => Promise<T> | T, limitNs: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const from = this.#schedule.now;
      const drive: Drive = { deadline: from + limitNs, limitNs, reject };
      this.#drive = drive;
      const stop = (): void => {
        if (this.#drive === drive) this.#drive = undefined;
      };
      new Promise<T>((settle) => {
        settle(body());
      })
        .finally(stop)
        .then(resolve, reject);
      this.#turn(1);
    });
  }

  /** Has `#step` run after what is under way, unless that is so already. */
  #turn(steps: number): void {
    if (this.#queued > 0) return;
    this.#queued = steps;
    for (let count = 0; count < steps; count++) real.setImmediate(this.#step);
  }

  /** Runs where promises and ticks have run to their ends. */
  readonly #step = (): void => {
    this.#queued--;
    if (this.#drive === undefined) return;
    try {
      const pace = this.#goOn(this.#drive);
      if (pace === "nap" && this.#queued === 0) {
        this.#queued = 1;
        real.setTimeout(this.#step, 1);
      } else {
        this.#turn(pace === "batch" ? batchSteps : 1);
      }
    } catch (error) {
      const { reject } = this.#drive;
      this.#drive = undefined;
      reject(error);
    }
  };

  /** Lets things happen until a program was told of something. */
  #goOn(drive: Drive): Pace {
    const schedule = this.#schedule;
    let told = false;
    let idle = false;
    for (let count = 0; count < mostInRow; count++) {
      const next = schedule.next();
      const due = next !== undefined && next.time <= schedule.now;
      // What was told is dealt with before time goes on, and before the timers of the same instant.
      if (told && (!due || next instanceof Timer)) return "batch";
      // What the program waits for comes first: else it would depend on real time what of this instant comes before it.
      if (due && this.#isWorking) return this.#wait(this.#work());
      if (!due) {
        if (!idle) {
          const pace = this.#untilIdle();
          if (pace !== undefined) return pace;
          idle = true;
        }
        if (next === undefined) {
          if (this.#exhausted) throw this.#deadlock();
          this.#exhausted = true;
          this.#idleTurns = idleTurns;
          return "turn";
        }
        this.#jump(next.time, drive);
      }
      this.#exhausted = false;
      schedule.take();
      if (++this.#atInstant > mostAtInstant - mostNamed) this.#watch(next);
      if (next.happen()) told = true;
      // As Node has it: what a timer has set off ends before the next timer.
      if (next instanceof Timer) return "batch";
    }
    return "turn";
  }

  /** @returns how to wait, where time must not go on yet. */
  #untilIdle(): Pace | undefined {
    const work = this.#work();
    if (work.length > 0) return this.#wait(work);
    this.#waits = 0;
    if (this.#idleTurns === 0) return undefined;
    // The turns count that go round the event loop, not those of one batch.
    if (this.#queued === 0) this.#idleTurns--;
    return "turn";
  }

  /** Whether real work is under way that is known without asking Node. */
  get #isWorking(): boolean {
    return this.#held > 0 || this.#realWork.isCalled;
  }

  /** The names of the real work that is under way. */
  #work(): readonly string[] {
    return this.#held > 0 ? heldWork : this.#realWork.pending();
  }

  #wait(work: readonly string[]): Pace {
    // What a call that is counted leads to has run when the next step does.
    if (this.#held > 0 || !this.#realWork.isCalled) this.#idleTurns = idleTurns;
    const naps = ++this.#waits - fastWaits;
    // Counted, not measured: a nap is a millisecond at the least.
    if (naps > this.#limits.realLimitMs) {
      const names = work === heldWork ? `real(…), ${this.#held} of them` : work.join(", ");
      const why = `real work has held the clock for ${this.#limits.realLimitMs / 1000} s (${names})`;
      throw new StuckError("ERR_SIM_REAL_WORK", `${why} ${this.#when()}`, this.#hooks.waiting());
    }
    return naps > 0 ? "nap" : "turn";
  }

  #jump(to: number, drive: Drive): void {
    if (to > drive.deadline) {
      const why = `the run is not over within its ${drive.limitNs / nsPerMs} ms (limitMs) ${this.#when()}`;
      throw new StuckError("ERR_SIM_TIME_LIMIT", why, this.#hooks.waiting());
    }
    this.#schedule.jump(to);
    this.#fakes?.show();
    this.#atInstant = 0;
  }

  /** Notes who it is that does not let time go on. */
  #watch(next: Happening): void {
    if (this.#atInstant === mostAtInstant - mostNamed + 1) this.#busy.clear();
    this.#busy.add(next.who ?? `rank ${next.rank}`);
    if (this.#atInstant <= mostAtInstant) return;
    const why = `more than ${mostAtInstant} things happened ${this.#when()} (${[...this.#busy].join(", ")})`;
    throw new StuckError("ERR_SIM_LIVELOCK", why, this.#hooks.waiting());
  }

  #deadlock(): StuckError {
    const why = `nothing can happen any more ${this.#when()}`;
    return new StuckError("ERR_SIM_DEADLOCK", why, this.#hooks.waiting());
  }

  #when(): string {
    return `at ${this.#schedule.now / nsPerMs} ms of virtual time`;
  }
}

/** What is awaited. */
interface Drive {
  /** The last instant that it may take. */
  readonly deadline: number;
  readonly limitNs: number;
  readonly reject: (error: unknown) => void;
}

/** When to go on: at once after promises and ticks, after a turn of the event loop, or after a real millisecond. */
type Pace = "batch" | "turn" | "nap";

const heldWork: readonly string[] = ["real"];

async function settled<T>(promise: Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await promise };
  } catch (error) {
    return { error };
  }
}
