/** The receive calls of one socket: what each kind takes and returns, how long it waits, and who may read. */

import type { Buffer } from "node:buffer";

import type { Endpoint } from "../address/address.js";
import { sizeOf } from "../driver/payload.js";
import { OSError } from "../errors/errors.js";
import { Datagram, type Replier, TruncatedError } from "../receive/datagram.js";
import { type Run, datagramsIn } from "../receive/inbox.js";
import type { Wait } from "../receive/waiters.js";
import {
  type MessageOptions,
  type WaitOptions,
  checkBufsize,
  checkMax,
  checkMessage,
  checkWait,
} from "./arguments.js";
import type { Engine } from "./engine.js";

/**
 * Datagrams that `recvMany` takes, if so many are there, however much time passes meanwhile: a machine may stop the process at any
 * point. More than a receive buffer holds with the default limits of Linux.
 */
const untimedDatagrams = 1024;
/** Milliseconds after which it then leaves further datagrams to the next call: a flood could fill its array for ever. */
const takeMs = 4;
/** The largest number of datagrams that it takes between two looks at the clock. */
const takeBatch = 256;

/** One kind of receive call. */
export interface ReceiveCall<A, T> {
  readonly syscall: string;
  /** Checks the argument. Returns the largest number of bytes of a datagram, or of datagrams, that the call takes. */
  readonly check: (argument: A) => number;
  /** Takes the result from the inbox, which is not empty. */
  readonly take: (calls: ReceiveCalls, max: number) => T;
}

export const recvfrom: ReceiveCall<number, [Buffer, Endpoint]> = {
  syscall: "recvfrom",
  check: checkBufsize,
  take(calls, max) {
    const { data, source } = calls.take(max, "recvfrom");
    return [data, source];
  },
};

export const recv: ReceiveCall<number, Buffer> = {
  syscall: "recv",
  check: checkBufsize,
  take: (calls, max) => calls.take(max, "recv").data,
};

export const recvmsg: ReceiveCall<MessageOptions | undefined, Datagram> = {
  syscall: "recvmsg",
  check: checkMessage,
  take: (calls, max) => calls.take(max, "recvmsg"),
};

export const recvMany: ReceiveCall<number, Datagram[]> = {
  syscall: "recvMany",
  check: checkMax,
  take: (calls, max) => calls.takeMany(max),
};

/** Takes runs of datagrams as the driver handed them over, and makes no object for each datagram. */
export const receiveRuns: Pick<ReceiveCall<never, Run[]>, "take"> = {
  take: (calls, max) => calls.takeRuns(max),
};

/** An iteration that reads. No other call may read meanwhile. */
export interface SoleReader {
  /** As `EBUSY` names it to other readers. */
  readonly name: string;
  /** Ends the iteration, and the steps that wait. */
  end(): void;
}

/** Takes datagrams before the receive calls of a socket get them. Its methods must not throw. */
export interface DatagramTaker {
  /** Whether `take` must be asked for a datagram from a source. */
  wants(source: Endpoint): boolean;
  /** Returns whether it took the datagram. */
  take(datagram: Datagram): boolean;
  /** The driver threw an error when it was to read: nothing may come any more. */
  failed(thrown: unknown): void;
  /** The socket was closed. */
  closed(): void;
}

/** Runs the receive calls of one socket. */
export class ReceiveCalls {
  /** Milliseconds that a call waits by `settimeout`; `null` waits for ever. */
  timeoutMs: number | null = null;
  readonly #engine: Engine;
  readonly #replier: Replier;
  #soleReader: SoleReader | undefined;

  constructor(engine: Engine, replier: Replier) {
    this.#engine = engine;
    this.#replier = replier;
  }

  /** Makes a receive call. Arguments are checked first, so that bad ones cost no datagram. */
  receive<A, T>(
    { syscall, check, take }: ReceiveCall<A, T>,
    argument: A,
    options: WaitOptions | undefined,
  ): Promise<T> {
    try {
      const max = check(argument);
      const immediate = options === undefined && this.immediate;
      const wait = immediate ? undefined : checkWait(syscall, options, this.timeoutMs);
      this.#assertMayRead(syscall);
      if (!wait) return Promise.resolve(take(this, max));
      return new Promise((resolve, reject) => {
        const serve = (): void => {
          try {
            resolve(take(this, max));
          } catch (error) {
            reject(error);
          }
        };
        this.wait(wait, serve, reject);
      });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As `Receiver.intercept`. @throws `OSError` `EBADF`; what the driver throws. */
  intercept(taker: DatagramTaker, syscall: string): () => void {
    const { receiver, ledger } = this.#engine.open(syscall);
    return receiver.intercept({
      take: ({ data, source, metadata }) => {
        if (!taker.wants(source)) return false;
        const bytes = sizeOf(data);
        if (!taker.take(new Datagram(data, source, bytes, this.#replier, metadata))) return false;
        ledger.received(1, bytes);
        return true;
      },
      failed: (thrown) => taker.failed(thrown),
      closed: () => taker.closed(),
    });
  }

  /** As `Receiver.receive`. */
  wait(wait: Wait, serve: () => void, fail: (reason: unknown) => void): (() => void) | undefined {
    return this.#engine.receiver.receive(wait, serve, fail);
  }

  /** As `Receiver.receiveLater`. */
  waitLater(wait: Wait, serve: () => void, fail: (reason: unknown) => void): (() => void) | undefined {
    return this.#engine.receiver.receiveLater(wait, serve, fail);
  }

  /** Whether no datagram is there, and the driver had no more at the last read. */
  get drained(): boolean {
    return this.#engine.receiver.drained;
  }

  /** Whether a call can take a datagram at once. */
  get immediate(): boolean {
    return this.#engine.receiver.immediate;
  }

  get closed(): boolean {
    return this.#engine.closed;
  }

  /** Lets nobody but `reader` read. @throws `OSError` `EBUSY` if another iteration reads, `EBADF`. */
  claim(reader: SoleReader, syscall: string): void {
    this.#assertMayRead(syscall);
    this.#soleReader = reader;
  }

  /** Ends the claim of `reader`, if it has one. */
  release(reader: SoleReader): void {
    if (this.#soleReader === reader) this.#soleReader = undefined;
  }

  /** Ends iterations. Other calls that wait stay pending for ever. */
  abandon(): void {
    this.#soleReader?.end();
    this.#engine.receiver.abandon();
  }

  /**
   * Takes the next datagram of the inbox, which is not empty, cut to `bufsize` bytes.
   *
   * @throws `TruncatedError` if it was cut and the socket is strict.
   */
  take(bufsize: number, syscall: string): Datagram {
    const { receiver, ledger } = this.#engine;
    const { inbox } = receiver;
    const { source, metadata } = inbox;
    const data = inbox.next();
    const { bytes } = inbox;
    receiver.passed(1);
    ledger.received(1, bytes);
    if (bytes <= bufsize) return new Datagram(data, source, bytes, this.#replier, metadata);
    const datagram = new Datagram(data.subarray(0, bufsize), source, bytes, this.#replier, metadata);
    this.#engine.truncated(datagram);
    if (this.#engine.strict) throw new TruncatedError(datagram, syscall);
    return datagram;
  }

  /**
   * Takes whole datagrams from the inbox, which is not empty, and those that the driver has: at most `max`. The time may end this
   * only after `untimedDatagrams`.
   */
  takeMany(max: number): Datagram[] {
    const { receiver, ledger, clock } = this.#engine;
    const { inbox } = receiver;
    const replier = this.#replier;
    const datagrams: Datagram[] = [];
    const until = clock.now() + takeMs;
    do {
      const before = datagrams.length;
      const end = Math.min(max, before + takeBatch);
      let bytes = 0;
      while (datagrams.length < end && !inbox.empty) {
        const { source, metadata } = inbox;
        const data = inbox.next();
        bytes += inbox.bytes;
        datagrams.push(new Datagram(data, source, inbox.bytes, replier, metadata));
      }
      receiver.passed(datagrams.length - before);
      ledger.received(datagrams.length - before, bytes);
      receiver.refill();
      if (datagrams.length >= untimedDatagrams && clock.now() >= until) break;
    } while (datagrams.length < max && !inbox.empty);
    return datagrams;
  }

  /** As `takeMany`, and takes runs. A run may exceed `max`, which alone ends this: it is small. */
  takeRuns(max: number): Run[] {
    const { receiver, ledger } = this.#engine;
    const { inbox } = receiver;
    const runs: Run[] = [];
    let total = 0;
    do {
      let [datagrams, bytes] = [0, 0];
      while (total + datagrams < max && !inbox.empty) {
        const run = inbox.nextRun();
        runs.push(run);
        datagrams += datagramsIn(run);
        bytes += run.data.length;
      }
      total += datagrams;
      receiver.passed(datagrams);
      ledger.received(datagrams, bytes);
      receiver.refill();
    } while (total < max && !inbox.empty);
    return runs;
  }

  #assertMayRead(syscall: string): void {
    this.#engine.open(syscall);
    if (this.#soleReader === undefined) return;
    throw new OSError("EBUSY", { syscall, text: `${this.#soleReader.name} reads this socket` });
  }
}
