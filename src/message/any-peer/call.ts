import type { Buffer } from "node:buffer";

import type { Endpoint } from "../../core/address/address.js";
import type { Unreachable } from "../../core/ledger/reports.js";
import { onAbort } from "../../core/receive/abort.js";
import type { Datagram } from "../../core/receive/datagram.js";
import type { Socket } from "../../core/socket/socket.js";
import { Answers, type Waiting } from "./answers.js";

/** The socket, the datagram, the destination and the promise of a call. */
export interface Asked<Result> {
  readonly socket: Socket;
  readonly payload: Buffer;
  readonly to: Endpoint;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (reason: unknown) => void;
}

/** A call that sends a datagram, perhaps several times, and waits for answers. `Result` is the value of its promise. */
export abstract class Call<Result> implements Waiting {
  abstract readonly syscall: string;
  abstract readonly from: Waiting["from"];
  abstract readonly selective: boolean;
  readonly to: Endpoint;
  protected readonly socket: Socket;
  protected readonly signal: AbortSignal | undefined;
  protected readonly answers: Answers;
  /** Called when the call has ended. */
  protected readonly ending: (() => void)[] = [];
  protected sends = 0;
  protected ended = false;
  readonly #asked: Asked<Result>;
  #cancelTimer: (() => void) | undefined;

  constructor(asked: Asked<Result>) {
    this.#asked = asked;
    this.to = asked.to;
    this.socket = asked.socket;
    this.signal = asked.signal;
    this.answers = Answers.of(asked.socket);
  }

  abstract take(datagram: Datagram): boolean;
  abstract unreachable(report: Unreachable): void;

  fail(reason: unknown): void {
    this.#end(() => this.#asked.reject(reason));
  }

  protected succeed(result: Result): void {
    this.#end(() => this.#asked.resolve(result));
  }

  /** From now on the signal ends the call. */
  protected heed(): void {
    const { signal } = this;
    if (signal) this.ending.push(onAbort(signal, () => this.fail(signal.reason)));
  }

  /** Waits for answers from now on. Returns whether it does: otherwise the call has failed. */
  protected listen(): boolean {
    try {
      this.answers.add(this);
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  /** Sends the datagram, and calls `next` after `waitMs` milliseconds, unless the call has ended by then. */
  protected send(waitMs: number, next: () => void): void {
    this.sends++;
    this.socket.sendto(this.#asked.payload, this.to).catch((error: unknown) => this.sendFailed(error));
    this.#cancelTimer = this.socket.clock.after(waitMs, next);
  }

  protected sendFailed(error: unknown): void {
    this.fail(error);
  }

  #end(settle: () => void): void {
    if (this.ended) return;
    this.ended = true;
    this.#cancelTimer?.();
    this.answers.remove(this);
    settle();
    for (const end of this.ending) end();
  }
}
