import type { Data } from "../../core/driver/payload.js";
import { wholeNumber, wrongType } from "../../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../../core/errors/fields.js";
import { onAbort } from "../../core/receive/abort.js";
import type { Datagram } from "../../core/receive/datagram.js";
import type { SocketIterator } from "../../core/socket/iteration.js";
import { engineOf } from "../../core/socket/settings.js";
import { type Socket, iterate } from "../../core/socket/socket.js";
import { checkFunction, checkSignal, checkSocket } from "./arguments.js";

/** Returns the answer to a datagram, or `undefined` for none. */
// oxlint-disable-next-line typescript/no-invalid-void-type -- a handler may have no return statement
export type Handler = (datagram: Datagram) => Data | undefined | void | Promise<Data | undefined | void>;

/** The options of `serve`. */
export interface ServeOptions {
  /**
   * The largest number of handlers that run at the same time, 1 to 65,536. Further datagrams wait in the receive buffer of the
   * kernel. @default 64
   */
  readonly concurrency?: number | undefined;
  /**
   * Called with the error of a handler, or of the send of its answer. If it throws, the error is an uncaught exception.
   * @default the event `"warning"` of the socket, with the code `HANDLER_FAILED`
   */
  readonly onError?: ((error: unknown, datagram: Datagram) => void) | undefined;
  /** Ends the service, as a call of it does. */
  readonly signal?: AbortSignal | undefined;
}

/** Counts of a service since it started. */
export interface ServeStats {
  /** Datagrams that a handler was called with. */
  readonly received: number;
  /** Answers that were sent. */
  readonly answered: number;
  /** Datagrams whose handler failed, or whose answer could not be sent. */
  readonly failed: number;
  /** Handlers that run now. */
  readonly running: number;
}

/** Ends a service: it reads no further datagram. Returns `ended`. The socket stays open. */
export interface Service extends AsyncDisposable {
  (): Promise<void>;
  /**
   * Settles when the service has ended and its last handler too: after the call, the signal, or `close()` of the socket.
   * Rejects if the socket cannot be read: `OSError` `EBUSY` if another iteration reads it, `EBADF`.
   */
  readonly ended: Promise<void>;
  /** The counts of the service so far. */
  stats(): ServeStats;
}

const fields = fieldsOf<ServeOptions>({ concurrency: true, onError: true, signal: true });

/**
 * Answers the datagrams that arrive: calls `handler` with each, and sends what it returns to the sender, with `reply`. Several
 * handlers run at the same time. A handler that fails is reported, and the service continues.
 *
 * While the service runs, no other call may read the socket, except `request` and `collect`, whose answers the handler does
 * not get. A peer that got no answer may send its datagram again: the handler is called for each.
 *
 * @param handler gets the datagram, and returns the answer (`undefined`: no answer), or a promise of it.
 * @throws `TypeError`, `RangeError` for wrong arguments.
 */
export function serve(socket: Socket, handler: Handler, options: ServeOptions = {}): Service {
  checkSocket(socket, options);
  if (typeof handler !== "function") throw wrongType("handler", "a function", handler);
  refuseUnknown(options, fields, "options: a field");
  const { concurrency = 64, onError, signal } = options;
  wholeNumber("concurrency", concurrency, 1, 65_536);
  checkFunction("onError", onError);
  checkSignal(signal);
  const loop = new Loop(socket, handler, concurrency, onError);
  if (signal?.aborted === true) loop.stop();
  const ended = loop.run(signal && onAbort(signal, () => loop.stop()));
  const stop = (): Promise<void> => {
    loop.stop();
    return ended;
  };
  return Object.assign(stop, { ended, stats: () => loop.stats(), [Symbol.asyncDispose]: stop });
}

/** Reads datagrams, and runs handlers for them. */
class Loop {
  readonly #socket: Socket;
  readonly #handler: Handler;
  readonly #concurrency: number;
  readonly #onError: ServeOptions["onError"];
  readonly #datagrams: SocketIterator<Datagram>;
  #received = 0;
  #answered = 0;
  #failed = 0;
  #running = 0;
  /** Called when a handler has ended. */
  #onEnd: (() => void) | undefined;
  #stopped = false;

  constructor(socket: Socket, handler: Handler, concurrency: number, onError: ServeOptions["onError"]) {
    this.#socket = socket;
    this.#handler = handler;
    this.#concurrency = concurrency;
    this.#onError = onError;
    this.#datagrams = iterate(socket, "serve()");
  }

  /** @param done is called at the end. */
  async run(done: (() => void) | undefined): Promise<void> {
    try {
      while (!this.#stopped) {
        const step = await this.#datagrams.next();
        if (step.done === true) break;
        this.#start(step.value);
        while (this.#running >= this.#concurrency) await this.#handlerEnd();
      }
    } finally {
      done?.();
      void this.#datagrams.return();
      while (this.#running > 0) await this.#handlerEnd();
    }
  }

  stop(): void {
    this.#stopped = true;
    void this.#datagrams.return();
  }

  stats(): ServeStats {
    return Object.freeze({
      received: this.#received,
      answered: this.#answered,
      failed: this.#failed,
      running: this.#running,
    });
  }

  #start(datagram: Datagram): void {
    this.#received++;
    this.#running++;
    void this.#answer(datagram).finally(() => {
      this.#running--;
      this.#onEnd?.();
    });
  }

  async #answer(datagram: Datagram): Promise<void> {
    try {
      const answer = (await this.#handler(datagram)) as Data | undefined;
      if (answer === undefined) return;
      await datagram.reply(answer);
      this.#answered++;
    } catch (error) {
      this.#failed++;
      this.#report(error, datagram);
    }
  }

  #handlerEnd(): Promise<void> {
    return new Promise((resolve) => (this.#onEnd = resolve));
  }

  #report(error: unknown, datagram: Datagram): void {
    if (!this.#onError) {
      const why = error instanceof Error ? error.message : String(error);
      const message = `the handler of serve() failed for a datagram from ${datagram.source}: ${why}. The option onError gets such errors`;
      engineOf(this.#socket).warn({ code: "HANDLER_FAILED", message });
      return;
    }
    try {
      this.#onError(error, datagram);
    } catch (thrown) {
      queueMicrotask(() => {
        throw thrown;
      });
    }
  }
}
