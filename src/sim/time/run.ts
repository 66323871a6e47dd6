import type { Random } from "../random.js";
import { FakeGlobals } from "./fake-globals.js";
import { RealWork } from "./real-work.js";
import { real } from "./real-timers.js";
import { Timer, type Schedule } from "./schedule.js";
import { StuckError } from "./stuck-error.js";
import { type ScheduledEvent, nsPerMs } from "./event.js";

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
const maxQuietEvents = 1_024;

/** Turns that real work is waited for at full speed, a millisecond or two; after that once a millisecond. */
const fastWaitTurns = 2_000;

/** More happenings at one instant than any network that makes progress has. */
const maxEventsAtInstant = 1_000_000;

/** The last ones of them, whose names tell who it is. */
const maxNamedOwners = 100;

/** What `RunHooks.ended` may take: sockets linger no longer. */
const maxClosingNs = 60_000 * nsPerMs;

/** One run of a program in virtual time. */
export class Run {
  readonly #schedule: Schedule;
  readonly #hooks: RunHooks;
  readonly #limits: RunLimits;
  readonly #done: () => void;
  readonly #realWork = new RealWork();
  #fakeGlobals: FakeGlobals | undefined;
  /** What is awaited now: the body, then the end. */
  #phase: Phase | undefined;
  /** Real immediates and timers that are under way, each of which is a `#step`. */
  #queued = 0;
  /** Whether the globals are what they were, and the thread is free for another run. */
  #over = false;
  /** Promises that the clock is held for. */
  #awaitedPromises = 0;
  #idleTurns = idleTurns;
  /** Whether nothing was left to happen, before the idle turns that are being made. */
  #exhausted = false;
  /** Steps in a row that found real work. */
  #waits = 0;
  #atInstant = 0;
  readonly #busyOwners = new Set<string>();

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
      this.#fakeGlobals = new FakeGlobals(this.#schedule, this.#realWork, this.#hooks.random);
      signal?.addEventListener("abort", abort);
      const outcome = await settled(this.#runPhase(body, limitMs * nsPerMs));
      const closing = this.#over
        ? outcome
        : await settled(this.#runPhase(() => this.#hooks.ended(), maxClosingNs));
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
    const phase = this.#phase;
    if (!phase || this.#over) return;
    this.#phase = undefined;
    void settled(Promise.resolve(this.#hooks.ended()));
    this.#end();
    phase.reject(reason);
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#fakeGlobals?.uninstall();
    this.#schedule.endRun();
    this.#done();
  }

  /** Holds the clock until a promise has settled. */
  async holdClock<T>(promise: Promise<T>): Promise<T> {
    this.#awaitedPromises++;
    try {
      return await promise;
    } finally {
      this.#awaitedPromises--;
    }
  }

  /** Lets things happen until what `body` gives has settled, or it is clear that it never will. */
  #runPhase<T>(body: () => Promise<T> | T, limitNs: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const from = this.#schedule.now;
      const phase: Phase = { deadline: from + limitNs, limitNs, reject };
      this.#phase = phase;
      const stop = (): void => {
        if (this.#phase === phase) this.#phase = undefined;
      };
      new Promise<T>((settle) => {
        settle(body());
      })
        .finally(stop)
        .then(resolve, reject);
      this.#queueSteps(1);
    });
  }

  /** Has `#step` run after what is under way, unless that is so already. */
  #queueSteps(steps: number): void {
    if (this.#queued > 0) return;
    this.#queued = steps;
    for (let count = 0; count < steps; count++) real.setImmediate(this.#step);
  }

  /** Runs where promises and ticks have run to their ends. */
  readonly #step = (): void => {
    this.#queued--;
    if (this.#phase === undefined) return;
    try {
      const nextStep = this.#fireEvents(this.#phase);
      if (nextStep === "nap" && this.#queued === 0) {
        this.#queued = 1;
        real.setTimeout(this.#step, 1);
      } else {
        this.#queueSteps(nextStep === "batch" ? batchSteps : 1);
      }
    } catch (error) {
      const { reject } = this.#phase;
      this.#phase = undefined;
      reject(error);
    }
  };

  /** Lets things happen until a program was told of something. */
  #fireEvents(phase: Phase): NextStep {
    const schedule = this.#schedule;
    let programCalled = false;
    let idle = false;
    for (let count = 0; count < maxQuietEvents; count++) {
      const next = schedule.next();
      const due = next !== undefined && next.time <= schedule.now;
      // What was told is dealt with before time goes on, and before the timers of the same instant.
      if (programCalled && (!due || next instanceof Timer)) return "batch";
      // What the program waits for comes first: else it would depend on real time what of this instant comes before it.
      if (due && this.#isWorking) return this.#wait(this.#work());
      if (!due) {
        if (!idle) {
          const nextStep = this.#makeIdleTurns();
          if (nextStep !== undefined) return nextStep;
          idle = true;
        }
        if (next === undefined) {
          if (this.#exhausted) throw this.#deadlock();
          this.#exhausted = true;
          this.#idleTurns = idleTurns;
          return "turn";
        }
        this.#jump(next.time, phase);
      }
      this.#exhausted = false;
      schedule.take();
      if (++this.#atInstant > maxEventsAtInstant - maxNamedOwners) this.#noteOwner(next);
      if (next.fire()) programCalled = true;
      // As Node has it: what a timer has set off ends before the next timer.
      if (next instanceof Timer) return "batch";
    }
    return "turn";
  }

  /** @returns how to wait, where time must not go on yet. */
  #makeIdleTurns(): NextStep | undefined {
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
    return this.#awaitedPromises > 0 || this.#realWork.hasCountedCall;
  }

  /** The names of the real work that is under way. */
  #work(): readonly string[] {
    return this.#awaitedPromises > 0 ? awaitedPromiseWork : this.#realWork.pending();
  }

  #wait(work: readonly string[]): NextStep {
    // What a call that is counted leads to has run when the next step does.
    if (this.#awaitedPromises > 0 || !this.#realWork.hasCountedCall) this.#idleTurns = idleTurns;
    const naps = ++this.#waits - fastWaitTurns;
    // Counted, not measured: a nap is a millisecond at the least.
    if (naps > this.#limits.realLimitMs) {
      const names =
        work === awaitedPromiseWork ? `real(…), ${this.#awaitedPromises} of them` : work.join(", ");
      const why = `real work has held the clock for ${this.#limits.realLimitMs / 1000} s (${names})`;
      throw new StuckError("ERR_SIM_REAL_WORK", `${why} ${this.#when()}`, this.#hooks.waiting());
    }
    return naps > 0 ? "nap" : "turn";
  }

  #jump(to: number, phase: Phase): void {
    if (to > phase.deadline) {
      const why = `the run is not over within its ${phase.limitNs / nsPerMs} ms (limitMs) ${this.#when()}`;
      throw new StuckError("ERR_SIM_TIME_LIMIT", why, this.#hooks.waiting());
    }
    this.#schedule.jump(to);
    this.#fakeGlobals?.show();
    this.#atInstant = 0;
  }

  /** Notes who it is that does not let time go on. */
  #noteOwner(next: ScheduledEvent): void {
    if (this.#atInstant === maxEventsAtInstant - maxNamedOwners + 1) this.#busyOwners.clear();
    this.#busyOwners.add(next.owner ?? `rank ${next.rank}`);
    if (this.#atInstant <= maxEventsAtInstant) return;
    const why = `more than ${maxEventsAtInstant} things happened ${this.#when()} (${[...this.#busyOwners].join(", ")})`;
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
interface Phase {
  /** The last instant that it may take. */
  readonly deadline: number;
  readonly limitNs: number;
  readonly reject: (error: unknown) => void;
}

/** When to go on: at once after promises and ticks, after a turn of the event loop, or after a real millisecond. */
type NextStep = "batch" | "turn" | "nap";

const awaitedPromiseWork: readonly string[] = ["real"];

async function settled<T>(promise: Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await promise };
  } catch (error) {
    return { error };
  }
}
