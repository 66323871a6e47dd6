import type { Random } from "../random.js";
import { FakeGlobals } from "./fake-globals.js";
import { RealWork } from "./real-work.js";
import { real } from "./real-timers.js";
import { Timer, type Schedule } from "./schedule.js";
import { StuckError } from "./stuck-error.js";
import { type ScheduledEvent, nsPerMs } from "./event.js";

/** What a run needs from its network. */
export interface RunHooks {
  /** Source of the random numbers of the program; without it, they come from Node.js. */
  readonly random?: Random | undefined;
  /** A line for each socket that waits. */
  waiting(): readonly string[];
  /** The error that the run rejects with, made from the original error. */
  failure(error: unknown): unknown;
  /** Called when the program has settled. Virtual time continues until its promise has settled. */
  ended(): Promise<void> | void;
}

/** How long a run may take. */
export interface RunLimits {
  /** Ends the run with the reason of the signal. */
  readonly signal: AbortSignal | undefined;
  /** Virtual milliseconds. */
  readonly limitMs: number;
  /** Real milliseconds, about, for which work outside virtual time may stop the clock without a break. */
  readonly realLimitMs: number;
}

/**
 * The number of real immediates that are queued together. Before each, all promises and ticks have run, however long their
 * chains are. Several that are queued together need only one turn of the event loop. Measured on Node 20.20, with one check
 * for real work for each: one by one 625 ns, 4 at once 281 ns, 16 at once 201 ns, 64 at once 212 ns (the check counts
 * immediates).
 */
const batchSteps = 16;

/**
 * The number of turns of the event loop after which nothing more is expected from outside: the message of a worker, or the
 * end of real work, may take several turns. They are made before the first jump of a run, after real work, and before a
 * deadlock is reported. Before every jump they would take 40 µs.
 */
const idleTurns = 64;

/** The number of events in a row that call no program, after which real input and output get a turn. */
const maxQuietEvents = 1_024;

/** The number of turns that wait for real work without sleeping, a millisecond or two. After that, each wait is a millisecond. */
const fastWaitTurns = 2_000;

/** The number of events at one instant above which the network makes no progress. */
const maxEventsAtInstant = 1_000_000;

/** The number of the last events at this instant whose owners are named in the error. */
const maxNamedOwners = 100;

/** The virtual time that `RunHooks.ended` may take: closing sockets take no longer. */
const maxClosingNs = 60_000 * nsPerMs;

/** One run of a program in virtual time. */
export class Run {
  readonly #schedule: Schedule;
  readonly #hooks: RunHooks;
  readonly #limits: RunLimits;
  readonly #done: () => void;
  readonly #realWork = new RealWork();
  #fakeGlobals: FakeGlobals | undefined;
  /** The phase of the run: first the program, then closing. */
  #phase: Phase | undefined;
  /** Real immediates and timers that are queued. Each runs `#step`. */
  #queued = 0;
  /** Whether the run is over: the globals are restored, and the thread is free for another run. */
  #over = false;
  /** The number of promises that the clock waits for. */
  #awaitedPromises = 0;
  #idleTurns = idleTurns;
  /** Whether no event was left before the current idle turns. */
  #exhausted = false;
  /** The number of steps in a row that found real work. */
  #waits = 0;
  #atInstant = 0;
  readonly #busyOwners = new Set<string>();

  /** @param done is called when the run is over, inside the call that ends it. */
  constructor(schedule: Schedule, hooks: RunHooks, limits: RunLimits, done: () => void) {
    this.#schedule = schedule;
    this.#hooks = hooks;
    this.#limits = limits;
    this.#done = done;
  }

  /** @throws `Error` if the globals cannot be replaced; otherwise the error that `RunHooks.failure` returns. */
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

  /** Ends the run at once. The globals are restored when this returns, because the next test may begin then. */
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

  /** Stops the clock until a promise has settled. */
  async holdClock<T>(promise: Promise<T>): Promise<T> {
    this.#awaitedPromises++;
    try {
      return await promise;
    } finally {
      this.#awaitedPromises--;
    }
  }

  /** Fires events until the promise of `body` has settled, or until it cannot settle any more. */
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

  /** Queues `#step`, unless it is queued already. */
  #queueSteps(steps: number): void {
    if (this.#queued > 0) return;
    this.#queued = steps;
    for (let count = 0; count < steps; count++) real.setImmediate(this.#step);
  }

  /** Runs when all promises and ticks have run. */
  readonly #step = (): void => {
    this.#queued--;
    if (this.#phase === undefined) return;
    try {
      const nextStep = this.#fireEvents(this.#phase);
      if (nextStep === "sleep" && this.#queued === 0) {
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

  /** Fires events until one of them calls a program. */
  #fireEvents(phase: Phase): NextStep {
    const schedule = this.#schedule;
    let programCalled = false;
    let idle = false;
    for (let count = 0; count < maxQuietEvents; count++) {
      const next = schedule.next();
      const due = next !== undefined && next.time <= schedule.now;
      // The program runs before time goes on, and before the timers of the same instant.
      if (programCalled && (!due || next instanceof Timer)) return "batch";
      // Real work comes first. Otherwise, real time would decide which events of this instant come before its result.
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
      // As in Node.js: promises and ticks of a timer run before the next timer.
      if (next instanceof Timer) return "batch";
    }
    return "turn";
  }

  /** @returns how to wait if time must not go on yet. */
  #makeIdleTurns(): NextStep | undefined {
    const work = this.#work();
    if (work.length > 0) return this.#wait(work);
    this.#waits = 0;
    if (this.#idleTurns === 0) return undefined;
    // Only whole turns of the event loop count, not the steps of one batch.
    if (this.#queued === 0) this.#idleTurns--;
    return "turn";
  }

  /** Whether real work is in progress, as far as is known without asking Node.js. */
  get #isWorking(): boolean {
    return this.#awaitedPromises > 0 || this.#realWork.hasCountedCall;
  }

  /** The names of the real work in progress. */
  #work(): readonly string[] {
    return this.#awaitedPromises > 0 ? awaitedPromiseWork : this.#realWork.pending();
  }

  #wait(work: readonly string[]): NextStep {
    // The callbacks of a counted call run before the next step, so it needs no idle turns.
    if (this.#awaitedPromises > 0 || !this.#realWork.hasCountedCall) this.#idleTurns = idleTurns;
    const sleeps = ++this.#waits - fastWaitTurns;
    // The time is counted, not measured: a sleep is at least a millisecond.
    if (sleeps > this.#limits.realLimitMs) {
      const names =
        work === awaitedPromiseWork ? `real(…), ${this.#awaitedPromises} of them` : work.join(", ");
      const why = `real work has held the clock for ${this.#limits.realLimitMs / 1000} s (${names})`;
      throw new StuckError("ERR_SIM_REAL_WORK", `${why} ${this.#when()}`, this.#hooks.waiting());
    }
    return sleeps > 0 ? "sleep" : "turn";
  }

  #jump(to: number, phase: Phase): void {
    if (to > phase.deadline) {
      const why = `the run is not over within its ${phase.limitNs / nsPerMs} ms (limitMs) ${this.#when()}`;
      throw new StuckError("ERR_SIM_TIME_LIMIT", why, this.#hooks.waiting());
    }
    this.#schedule.jump(to);
    this.#atInstant = 0;
  }

  /** Notes the owner of an event that keeps time from going on. */
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

/** A phase of a run, which waits for a promise. */
interface Phase {
  /** The last instant of the phase. */
  readonly deadline: number;
  readonly limitNs: number;
  readonly reject: (error: unknown) => void;
}

/** When the next step runs: after promises and ticks, after a turn of the event loop, or after a real millisecond. */
type NextStep = "batch" | "turn" | "sleep";

const awaitedPromiseWork: readonly string[] = ["real"];

async function settled<T>(promise: Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await promise };
  } catch (error) {
    return { error };
  }
}
