import { onAbort } from "./abort.js";
import type { Clock, Driver } from "../driver/driver.js";
import { brokenContract, toOSError } from "../driver/driver-fault.js";
import { OSError, TimeoutError } from "../errors/errors.js";
import { type Arrival, Inbox } from "./inbox.js";
import type { Ledger, Traffic } from "../ledger/ledger.js";

/** Datagrams handed out in one turn of the loop before the rest of the program has its chance. */
const turnDatagrams = 1024;
/** Milliseconds in one turn of the loop before the rest of the program has its chance. */
const turnMs = 4;
/** How many datagrams are handed out between two looks at the clock. */
const clockEvery = 32;

/** What the receiver needs of its socket. */
export interface ReceiverHost {
  readonly driver: Driver;
  readonly clock: Clock;
  readonly ledger: Pick<Ledger, "sentDatagrams">;
  /** Whether `arrived` wants to be told. */
  readonly tapped: boolean;
  /** Datagrams were read, and none of them is handed out yet. */
  arrived(arrivals: readonly Arrival[]): void;
  /** An ICMP error came in place of a datagram. */
  refused(error: OSError): void;
  /** Whether a call waits that should keep the process alive. */
  waiting(on: boolean): void;
}

/** How a receive call waits. */
export interface Wait {
  readonly syscall: string;
  /** Milliseconds; `null` waits for ever, 0 does not wait. */
  readonly timeoutMs: number | null;
  readonly signal: AbortSignal | undefined;
}

interface Waiter {
  readonly wait: Wait;
  /** On the clock; `Infinity` without one. */
  readonly deadline: number;
  /** Takes what it wants of the inbox, which is not empty, and settles the call. */
  readonly serve: () => void;
  readonly fail: (reason: unknown) => void;
  forget: (() => void) | undefined;
}

/**
 * The way into a socket. Reads ahead one batch, and only while a call waits; calls are served in their order; a
 * flood is handed out in bounded turns.
 */
export class Receiver {
  /** What was read ahead. Who takes from it says so by `passed`. */
  readonly inbox: Inbox = new Inbox();
  readonly #host: ReceiverHost;
  readonly #waiters = new Set<Waiter>();
  #more = false;
  /** `sentDatagrams` when the driver was asked last. */
  #sentBefore = 0;
  #credit = turnDatagrams;
  #sinceClock = 0;
  /** `NaN` until the clock is looked at for the first time in a turn. */
  #turnStarted = NaN;
  #turning = false;
  #timerAt = Infinity;
  #cancelTimer: (() => void) | undefined;
  /** Whether the driver has been called and has not returned yet. */
  #calling = false;
  /** What came in place of datagrams while a call was served: the error of the next one. */
  #kept: OSError | undefined;
  #closed = false;

  constructor(host: ReceiverHost) {
    this.#host = host;
  }

  /**
   * Calls `serve` once when the inbox has a datagram, or `fail` with a `TimeoutError`; an `OSError`: `EAGAIN` with a
   * `timeoutMs` of 0, `ECANCELED` by `close()`, what ICMP said of the connected peer; or the signal's reason.
   *
   * @returns what withdraws the call while it waits.
   */
  receive(wait: Wait, serve: () => void, fail: (reason: unknown) => void): (() => void) | undefined {
    const { signal, timeoutMs } = wait;
    if (signal?.aborted === true) {
      fail(signal.reason);
      return undefined;
    }
    if (this.#waiters.size === 0 && this.#credit > 0 && !this.#closed) {
      const error = this.inbox.empty && this.#mayFind(timeoutMs) ? this.#look() : undefined;
      if (error) {
        fail(error);
        return undefined;
      }
      if (!this.inbox.empty) {
        serve();
        return undefined;
      }
    }
    if (!this.#closed) return this.#enlist(wait, serve, fail);
    fail(closedWhileWaiting(wait.syscall));
    return undefined;
  }

  /**
   * Whether a call looks before it waits. After a send it does: an answer is often there already, and one system call that
   * finds nothing costs less than a turn of the event loop.
   */
  #mayFind(timeoutMs: number | null): boolean {
    return this.#more || timeoutMs === 0 || this.#host.ledger.sentDatagrams !== this.#sentBefore;
  }

  /** Whether a call that comes now is served at once, and needs none of what waiting takes. */
  get immediate(): boolean {
    return !this.inbox.empty && this.#waiters.size === 0 && this.#credit > 0;
  }

  /** So many datagrams of the inbox have been handed out. */
  passed(count: number): void {
    this.#credit -= count;
    this.#sinceClock += count;
    if (this.#sinceClock < clockEvery) return;
    this.#sinceClock = 0;
    const now = this.#host.clock.now();
    if (Number.isNaN(this.#turnStarted)) this.#turnStarted = now;
    else if (now - this.#turnStarted > turnMs) this.#credit = 0;
  }

  /** Reads more into an empty inbox when there may be more. */
  refill(): void {
    if (this.inbox.empty && this.#more) this.#kept = this.#look();
  }

  /** The driver says that something may be there. @throws `Error` where it has been called and not returned yet. */
  readable(): void {
    if (this.#calling) throw brokenContract("it reported something to receive during a call");
    this.#more = true;
    this.#renew();
    if (this.#waiters.size === 0) this.#want(false);
    else this.#pump();
  }

  /** Leaves the calls that wait pending for ever, as at the end of a process. */
  abandon(): void {
    for (const waiter of this.#waiters) this.#dismiss(waiter);
  }

  /** Ends the calls that wait. Gives back what was read and never handed out. */
  close(): Traffic {
    this.#closed = true;
    this.#cancelTimer?.();
    for (const waiter of this.#waiters) {
      this.#dismiss(waiter);
      waiter.fail(closedWhileWaiting(waiter.wait.syscall));
    }
    let [datagrams, bytes] = [0, 0];
    for (const { data } of this.inbox.arrivals()) {
      datagrams++;
      bytes += data.length;
    }
    this.inbox.clear();
    return { datagrams, bytes };
  }

  #enlist(wait: Wait, serve: () => void, fail: (reason: unknown) => void): (() => void) | undefined {
    const { signal, timeoutMs } = wait;
    const timed = timeoutMs !== null && timeoutMs > 0;
    const deadline = timed ? this.#host.clock.now() + timeoutMs : Infinity;
    const waiter: Waiter = { wait, deadline, serve, fail, forget: undefined };
    if (signal) {
      waiter.forget = onAbort(signal, () => {
        this.#dismiss(waiter);
        fail(signal.reason);
      });
    }
    this.#waiters.add(waiter);
    try {
      if (this.#waiters.size === 1) this.#host.waiting(true);
    } catch (thrown) {
      this.#failAll(thrown);
      return undefined;
    }
    if (deadline < this.#timerAt) this.#setTimer(deadline);
    if (timeoutMs === 0) this.#lastChance([waiter]);
    else if (this.#credit > 0) this.#want(true);
    else this.#yield();
    return () => this.#dismiss(waiter);
  }

  #dismiss(waiter: Waiter): void {
    waiter.forget?.();
    if (this.#waiters.delete(waiter) && this.#waiters.size === 0) this.#host.waiting(false);
  }

  /** Serves the calls that wait, in their order, until they, the datagrams or this turn's credit are used up. */
  #pump(): void {
    for (const waiter of this.#waiters) {
      if (this.#credit <= 0) {
        this.#yield();
        return;
      }
      const error = this.inbox.empty && this.#more ? this.#look() : undefined;
      if (this.#closed) return;
      if (error) {
        this.#dismiss(waiter);
        waiter.fail(error);
      } else if (!this.inbox.empty) {
        this.#dismiss(waiter);
        waiter.serve();
      } else break;
    }
    if (this.#waiters.size > 0) this.#want(true);
  }

  /** Has the driver tell when something is there, or not. Where that fails, so do the calls that wait for it. */
  #want(on: boolean): void {
    this.#calling = true;
    try {
      this.#host.driver.wantReadable(on);
    } catch (thrown) {
      this.#failAll(thrown);
    } finally {
      this.#calling = false;
    }
  }

  /** What a driver throws is the error of every call that waits. */
  #failAll(thrown: unknown): void {
    // A loop of calls that fail at once never leaves the microtasks: they count, so that the loop turns.
    this.passed(1);
    for (const waiter of this.#waiters) {
      this.#dismiss(waiter);
      waiter.fail(toOSError(thrown, waiter.wait.syscall));
    }
  }

  /** Reads a batch into the inbox, which is empty. Gives back the error that came instead. */
  #look(): OSError | undefined {
    let error = this.#kept;
    this.#kept = undefined;
    if (error) return error;
    this.#calling = true;
    this.#sentBefore = this.#host.ledger.sentDatagrams;
    try {
      this.#more = this.#host.driver.receive(this.inbox);
    } catch (thrown) {
      error = toOSError(thrown, "recvfrom");
      this.#more = true;
      // As in `#failAll`.
      this.passed(1);
      this.#host.refused(error);
    } finally {
      this.#calling = false;
    }
    // All at once: a listener may receive.
    if (this.#host.tapped) this.#host.arrived([...this.inbox.arrivals()]);
    return error;
  }

  /** Lets the rest of the program run, then goes on. */
  #yield(): void {
    if (this.#turning) return;
    this.#turning = true;
    this.#host.clock.turn(() => {
      this.#turning = false;
      if (this.#closed) return;
      this.#renew();
      this.#pump();
    });
  }

  #renew(): void {
    this.#credit = turnDatagrams;
    this.#turnStarted = NaN;
  }

  #setTimer(at: number): void {
    this.#cancelTimer?.();
    this.#timerAt = at;
    const leftMs = Math.max(0, at - this.#host.clock.now());
    this.#cancelTimer = this.#host.clock.after(leftMs, () => this.#expire());
  }

  /** The timer is set for the earliest deadline and left alone when that call is served: most are. */
  #expire(): void {
    this.#timerAt = Infinity;
    this.#cancelTimer = undefined;
    const now = this.#host.clock.now();
    const late: Waiter[] = [];
    let next = Infinity;
    for (const waiter of this.#waiters) {
      if (waiter.deadline <= now) late.push(waiter);
      else next = Math.min(next, waiter.deadline);
    }
    if (next < Infinity) this.#setTimer(next);
    if (late.length > 0) this.#lastChance(late);
  }

  /** One turn of the loop and a second look before these calls end with nothing. */
  #lastChance(waiters: readonly Waiter[]): void {
    this.#host.clock.turn(() => {
      if (this.#closed) return;
      this.#more = true;
      this.#renew();
      this.#pump();
      for (const waiter of waiters) {
        if (!this.#waiters.has(waiter)) continue;
        this.#dismiss(waiter);
        waiter.fail(tooLate(waiter.wait));
      }
    });
  }
}

function tooLate({ syscall, timeoutMs }: Wait): OSError {
  return timeoutMs === 0
    ? new OSError("EAGAIN", { syscall, text: "no datagram is there, and this call does not wait" })
    : new TimeoutError({ syscall, text: `no datagram in ${timeoutMs} ms` });
}

function closedWhileWaiting(syscall: string): OSError {
  return new OSError("ECANCELED", { syscall, text: "the socket was closed while this waited" });
}
