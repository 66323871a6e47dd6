/** The promises and signals of Node.js that a timer settles, in virtual time. */

import { onAbort } from "../../core/receive/abort.js";
import { programTimers } from "./program-timers.js";

/** The options that have an effect: in virtual time, `ref` has none. */
interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
}

/** `setTimeout` of `node:timers/promises`. */
export function sleep<T = void>(delayMs?: unknown, value?: T, { signal }: WaitOptions = {}): Promise<T> {
  return wait(value as T, signal, (fire) => {
    const timer = programTimers.setTimeout(fire, delayMs);
    return () => programTimers.clearTimeout(timer);
  });
}

/** `setImmediate` of `node:timers/promises`. */
export function nextTurn<T = void>(value?: T, { signal }: WaitOptions = {}): Promise<T> {
  return wait(value as T, signal, (fire) => {
    const immediate = programTimers.setImmediate(fire);
    return () => programTimers.clearImmediate(immediate);
  });
}

/** `setInterval` of `node:timers/promises`. */
export async function* everyInterval<T = void>(
  delayMs?: unknown,
  value?: T,
  { signal }: WaitOptions = {},
): AsyncGenerator<T, void, void> {
  const failIfAborted = (): void => {
    if (signal?.aborted === true) throw abortError(signal);
  };
  failIfAborted();
  let due = 0;
  let wake: (() => void) | undefined;
  const interval = programTimers.setInterval(() => {
    due++;
    wake?.();
  }, delayMs);
  const unwatch = signal && onAbort(signal, () => wake?.());
  try {
    for (;;) {
      // Ticks that were due before an abort are still delivered.
      for (; due > 0; due--) yield value as T;
      failIfAborted();
      await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    programTimers.clearInterval(interval);
    unwatch?.();
  }
}

/** `AbortSignal.timeout`. The original uses an internal timer of Node.js. */
export function abortAfter(delayMs: number): AbortSignal {
  const controller = new AbortController();
  programTimers.setTimeout(() => {
    controller.abort(new DOMException("The operation was aborted due to timeout", "TimeoutError"));
  }, delayMs);
  return controller.signal;
}

/** @param start sets the timer, and returns a function that clears it. */
async function wait<T>(
  value: T,
  signal: AbortSignal | undefined,
  start: (fire: () => void) => () => void,
): Promise<T> {
  if (signal?.aborted === true) throw abortError(signal);
  return new Promise((resolve, reject) => {
    const clear = start(() => {
      unwatch?.();
      resolve(value);
    });
    const unwatch =
      signal &&
      onAbort(signal, () => {
        clear();
        reject(abortError(signal));
      });
  });
}

/** The error that the originals reject with. */
function abortError(signal: AbortSignal): Error {
  const error = new Error("The operation was aborted", { cause: signal.reason });
  return Object.assign(error, { name: "AbortError", code: "ABORT_ERR" });
}
