/**
 * Receiving: `receiver.ts` serves the receive calls of a socket, from the datagrams in `inbox.ts`. `waiters.ts` lists the calls
 * that wait, and `deadlines.ts` ends those that waited too long. `turn.ts` limits a turn of the event loop. `datagram.ts` is what
 * a program gets, `abort.ts` has signals end calls, and `interception.ts` takes datagrams before the calls get them.
 */

import { assert } from "../assert.js";
import type { Clock, Driver, Sink } from "../driver/driver.js";
import { brokenContract, toOSError } from "../driver/driver-errors.js";
import { mayBeIcmp } from "../driver/icmp.js";
import { type OSError, ofCall } from "../errors/errors.js";
import type { Ledger, Traffic } from "../ledger/ledger.js";
import { onAbort } from "./abort.js";
import { BusyPoll } from "./busy-poll.js";
import { Deadlines, timedOut } from "./deadlines.js";
import { Inbox, type Run } from "./inbox.js";
import { Interception, type Interceptor } from "./interception.js";
import { Turn } from "./turn.js";
import { type Wait, Waiter, Waiters, closedWhileWaiting } from "./waiters.js";

/** What the receiver needs of its socket. */
export interface ReceiverHost {
  /** Microseconds for which a call looks again and again before it waits; 0 if it does not. */
  readonly busyPollUs: number;
  readonly driver: Driver;
  readonly clock: Clock;
  readonly ledger: Pick<Ledger, "sentDatagrams">;
  /** Whether `arrived` must be called. */
  readonly tapped: boolean;
  /** Called when datagrams were read, before any of them is handed out. */
  arrived(runs: readonly Run[]): void;
  /** Called when the driver threw an error in place of datagrams. */
  refused(error: OSError): void;
  /** Called when datagrams were dropped: the interceptor left them, and no call took them in time. */
  overflowed(dropped: Traffic): void;
  /** Called when the first call waits, and when none waits any more: a call that waits keeps the process alive. */
  waiting(on: boolean): void;
}

/**
 * The receive side of a socket. It reads one batch ahead, and only while a call waits. Calls are served in the order in which
 * they were made. A flood of datagrams is handed out in turns, so that the rest of the program runs too.
 */
export class Receiver {
  /** The datagrams that were read ahead. A caller that takes some must call `passed`. */
  readonly inbox: Inbox = new Inbox();
  readonly #host: ReceiverHost;
  readonly #waiters = new Waiters();
  /** Whether the driver may have more datagrams. */
  #mayHaveMore = false;
  /** `sentDatagrams` at the last read. */
  #sentBefore = 0;
  readonly #turn: Turn;
  #turning = false;
  readonly #deadlines: Deadlines;
  /** Whether a call to the driver is in progress. */
  #calling = false;
  /** The error that `refill` got in place of datagrams. The next call fails with it. */
  #pendingError: OSError | undefined;
  #closed = false;
  #interception: Interception | undefined;
  readonly #busyPoll: BusyPoll | undefined;

  constructor(host: ReceiverHost) {
    this.#host = host;
    this.#turn = new Turn(host.clock);
    this.#deadlines = new Deadlines(host.clock, this.#waiters, (late) => this.#lastChance(late));
    if (host.busyPollUs > 0) this.#busyPoll = new BusyPoll(host.clock, host.busyPollUs);
  }

  /**
   * Calls `serve` once when the inbox has a datagram. Otherwise calls `fail` once, with one of: a `TimeoutError`; an `OSError`
   * `EAGAIN` if `timeoutMs` is 0; an `OSError` `ECANCELED` after `close()`; the ICMP error of the connected peer; the reason of
   * the signal.
   *
   * @returns a function that withdraws the call; `undefined` if the call does not wait.
   */
  receive(wait: Wait, serve: () => void, fail: (reason: unknown) => void): (() => void) | undefined {
    const { signal, timeoutMs } = wait;
    if (signal?.aborted === true) {
      fail(signal.reason);
      return undefined;
    }
    if (this.#waiters.empty && this.#turn.hasRoom && !this.#closed) {
      const error = this.inbox.empty && this.#shouldRead(timeoutMs) ? this.#readBatch() : undefined;
      if (error) {
        fail(ofCall(error, wait.syscall));
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
   * Whether a call that found the inbox empty reads before it waits. After a send it does: an answer is often there already,
   * and one system call that finds nothing costs less than a turn of the event loop.
   */
  #shouldRead(timeoutMs: number | null): boolean {
    return this.#mayHaveMore || timeoutMs === 0 || this.#host.ledger.sentDatagrams !== this.#sentBefore;
  }

  /** Whether a call can be served now, without waiting. */
  get immediate(): boolean {
    return !this.inbox.empty && this.#waiters.empty && this.#turn.hasRoom;
  }

  /** Whether no datagram is there, and the driver had no more at the last read. */
  get drained(): boolean {
    return (
      this.inbox.empty && !this.#mayHaveMore && !this.#pendingError && this.#turn.hasRoom && !this.#closed
    );
  }

  /** As `receive`, when the receiver is `drained`. Reads only when the driver says that there are datagrams, not after a send. */
  receiveLater(wait: Wait, serve: () => void, fail: (reason: unknown) => void): (() => void) | undefined {
    assert(this.drained, "nothing can be received at once");
    return this.#enlist(wait, serve, fail);
  }

  /** To be called after `count` datagrams of the inbox were handed out. */
  passed(count: number): void {
    this.#turn.passed(count);
  }

  /** Reads a batch if the inbox is empty and the driver may have more. */
  refill(): void {
    if (this.inbox.empty && this.#mayHaveMore) this.#pendingError = this.#readBatch();
  }

  /** To be called when the driver may have datagrams. @throws `Error` if a call to the driver is in progress. */
  readable(): void {
    if (this.#calling) throw brokenContract("it reported something to receive during a call");
    this.#mayHaveMore = true;
    this.#turn.start();
    if (this.#waiters.empty && !this.#interception) this.#want(false);
    else this.#serveWaiters();
  }

  /**
   * Reads the socket from now on, also while no call waits, and offers each datagram to an interceptor before the calls. There
   * is one interceptor at most. Datagrams that were read ahead are not offered.
   *
   * @returns a function that ends this.
   * @throws what the driver throws. Then there is no interceptor.
   */
  intercept(interceptor: Interceptor): () => void {
    assert(!this.#interception && !this.#closed, "a socket has one interceptor, until it is closed");
    const interception = new Interception(interceptor, this.inbox);
    if (this.#waiters.empty) this.#host.waiting(true);
    this.#interception = interception;
    const stop = (): void => {
      if (this.#interception !== interception) return;
      this.#interception = undefined;
      if (this.#waiters.empty) this.#host.waiting(false);
    };
    const failure = this.#want(true);
    if (!failure) return stop;
    stop();
    throw failure.thrown;
  }

  /** Leaves the calls that wait pending for ever, as at the end of a process. */
  abandon(): void {
    for (let waiter = this.#waiters.first; waiter; waiter = this.#waiters.first) this.#dismiss(waiter);
  }

  /** Ends the calls that wait. @returns the datagrams that were read and never handed out. */
  close(): Traffic {
    this.#closed = true;
    this.#deadlines.close();
    for (let waiter = this.#waiters.first; waiter; waiter = this.#waiters.first) {
      this.#dismiss(waiter);
      waiter.fail(closedWhileWaiting(waiter.wait.syscall));
    }
    this.#interception?.interceptor.closed();
    this.#interception = undefined;
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
    const waiter = new Waiter(wait, deadline, serve, fail);
    if (signal) {
      waiter.forget = onAbort(signal, () => {
        this.#dismiss(waiter);
        fail(signal.reason);
      });
    }
    this.#waiters.add(waiter);
    try {
      if (this.#waiters.single && !this.#interception) this.#host.waiting(true);
    } catch (thrown) {
      this.#failAll(thrown);
      return undefined;
    }
    if (timed) this.#deadlines.add(deadline);
    if (timeoutMs === 0) this.#lastChance([waiter]);
    else if (this.#turn.hasRoom) {
      this.#want(true);
      if (this.#busyPoll) this.#lookBeforeWaiting(this.#busyPoll, waiter);
    } else this.#yield();
    return () => this.#dismiss(waiter);
  }

  /** In a microtask, so that datagrams that were sent before this call leave first. */
  #lookBeforeWaiting(busyPoll: BusyPoll, waiter: Waiter): void {
    if (!this.#waiters.single || !busyPoll.pays()) return;
    queueMicrotask(() => {
      if (this.#closed || !waiter.listed) return;
      busyPoll.run(() => this.#lookAgain(), waiter.deadline);
      this.#looked();
    });
  }

  /** Serves the calls that wait. A tap may have closed the socket. */
  #looked(): void {
    if (this.#closed) return;
    this.#turn.look();
    this.#serveWaiters();
  }

  /** Returns whether a call that waits can be served. */
  #lookAgain(): boolean {
    if (this.#closed || !this.inbox.empty) return true;
    this.#pendingError = this.#readBatch();
    return this.#pendingError !== undefined || !this.inbox.empty;
  }

  #dismiss(waiter: Waiter): void {
    waiter.forget?.();
    if (!this.#waiters.remove(waiter)) return;
    if (this.#waiters.empty && !this.#interception) this.#host.waiting(false);
  }

  /** Serves the calls that wait, in their order, until no call, no datagram or no credit is left. */
  #serveWaiters(): void {
    for (let waiter = this.#waiters.first; waiter; waiter = this.#waiters.first) {
      if (!this.#turn.hasRoom) {
        this.#yield();
        return;
      }
      const error = this.inbox.empty && this.#mayHaveMore ? this.#readBatch() : undefined;
      if (this.#closed) return;
      if (error) {
        this.#dismiss(waiter);
        waiter.fail(ofCall(error, waiter.wait.syscall));
      } else if (!this.inbox.empty) {
        this.#dismiss(waiter);
        waiter.serve();
      } else break;
    }
    if (this.#interception) this.#readOn();
    else if (!this.#waiters.empty) this.#want(true);
  }

  /** Reads for the interceptor, whether or not a call waits. */
  #readOn(): void {
    while (this.#waiters.empty && this.inbox.empty && this.#mayHaveMore && this.#turn.hasRoom) {
      const error = this.#readBatch();
      if (this.#closed) return;
      // An ICMP error is about a datagram that was sent, and it is an event too.
      if (!error || mayBeIcmp(error.code)) continue;
      this.#interception?.interceptor.failed(error);
      if (!this.#interception) return;
    }
    // Datagrams in the inbox have one turn of the event loop: the program may be about to take them.
    if (this.#mayHaveMore) this.#yield();
    else this.#want(true);
  }

  /** Turns the driver's `readable` event on or off. If that fails, the calls that wait fail too. Returns what the driver threw. */
  #want(on: boolean): { readonly thrown: unknown } | undefined {
    this.#calling = true;
    try {
      this.#host.driver.wantReadable(on);
      return undefined;
    } catch (thrown) {
      this.#failAll(thrown);
      return { thrown };
    } finally {
      this.#calling = false;
    }
  }

  /** Every call that waits fails with the error that the driver threw. */
  #failAll(thrown: unknown): void {
    // A loop of calls that fail at once would never leave the microtasks. Each counts as a datagram, so that the turn ends.
    this.#turn.passed(1);
    for (let waiter = this.#waiters.first; waiter; waiter = this.#waiters.first) {
      this.#dismiss(waiter);
      waiter.fail(ofCall(toOSError(thrown, waiter.wait.syscall), waiter.wait.syscall));
    }
    this.#interception?.interceptor.failed(thrown);
  }

  /**
   * Reads a batch into the inbox, which is empty unless there is an interceptor. If the interceptor takes all, reads on.
   *
   * @returns the error that the driver threw instead.
   */
  #readBatch(): OSError | undefined {
    const interception = this.#interception;
    assert(this.inbox.empty || interception !== undefined, "a batch is read into an empty inbox");
    let error = this.#pendingError;
    this.#pendingError = undefined;
    if (error) return error;
    if (!interception) {
      error = this.#readInto(this.inbox);
      // A copy of all of them: a listener may receive.
      if (this.#host.tapped) this.#host.arrived(this.inbox.runs());
      return error;
    }
    do {
      error = this.#readInto(interception);
      this.#sort(interception);
    } while (!error && this.inbox.empty && this.#mayHaveMore && this.#turn.hasRoom);
    return error;
  }

  /** Lets the driver read once. @returns the error that it threw. */
  #readInto(sink: Sink): OSError | undefined {
    this.#calling = true;
    this.#sentBefore = this.#host.ledger.sentDatagrams;
    try {
      this.#mayHaveMore = this.#host.driver.receive(sink);
      return undefined;
    } catch (thrown) {
      const error = toOSError(thrown, "recvfrom");
      this.#mayHaveMore = true;
      // As in `#failAll`.
      this.#turn.passed(1);
      this.#host.refused(error);
      return error;
    } finally {
      this.#calling = false;
    }
  }

  /** Lets the interceptor take its datagrams of the last read. */
  #sort(interception: Interception): void {
    const { arrivals } = interception;
    const { taken, dropped } = interception.sort();
    this.#turn.passed(taken);
    if (dropped.datagrams > 0) this.#host.overflowed(dropped);
    if (this.#host.tapped)
      this.#host.arrived(arrivals.map((arrival) => ({ ...arrival, segment: 0, isAlone: false })));
  }

  /** Lets the rest of the program run, then serves the calls that wait. */
  #yield(): void {
    if (this.#turning) return;
    this.#turning = true;
    this.#host.clock.turn(() => {
      this.#turning = false;
      if (this.#closed) return;
      this.#turn.start();
      if (this.#interception && !this.inbox.empty && this.#mayHaveMore) this.#readBatch();
      this.#serveWaiters();
    });
  }

  /**
   * Before these calls fail, the event loop turns and the driver is read once more. If that served calls, there may be datagrams
   * for these calls too, beyond what one turn hands out: then the loop turns again.
   */
  #lastChance(waiters: readonly Waiter[]): void {
    const { first } = this.#waiters;
    this.#host.clock.turn(() => {
      if (this.#closed) return;
      this.#mayHaveMore = true;
      this.#turn.start();
      this.#serveWaiters();
      const left = waiters.filter(({ listed }) => listed);
      if (left.length > 0 && this.#waiters.first !== first) {
        this.#lastChance(left);
        return;
      }
      for (const waiter of left) {
        this.#dismiss(waiter);
        waiter.fail(timedOut(waiter.wait));
      }
    });
  }
}
