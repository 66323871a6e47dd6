import { outOfRange, wrongType } from "../../core/errors/errors.js";
import { refuseUnknown } from "../../core/errors/fields.js";
import type { Clock } from "../../core/driver/driver.js";

/** How long and how often `eventually` tries. */
export interface EventuallyOptions {
  /** Virtual milliseconds until it fails, 0 or more. @default 10,000 */
  readonly timeoutMs?: number | undefined;
  /** Virtual milliseconds between tries, above 0. @default 10 */
  readonly everyMs?: number | undefined;
}

/** See `VirtualTime.eventually`. */
export async function eventually(
  clock: Clock,
  check: () => unknown,
  options: EventuallyOptions = {},
  running = true,
): Promise<void> {
  if (typeof options !== "object" || (options as unknown) === null)
    throw wrongType("options", "an object", options);
  refuseUnknown(options, ["timeoutMs", "everyMs"], "options: a field");
  const { timeoutMs = 10_000, everyMs = 10 } = options;
  if (typeof check !== "function") throw wrongType("check", "a function", check);
  if (!(timeoutMs >= 0 && timeoutMs < Infinity)) throw outOfRange("timeoutMs", "0 or more", timeoutMs);
  if (!(everyMs > 0 && everyMs < Infinity)) throw outOfRange("everyMs", "more than 0", everyMs);
  if (!running) throw new Error("time stands still outside of run(): there is nothing to wait for");
  const start = clock.now();
  let failure: unknown = new Error("the check has not settled");
  const trial = async (): Promise<boolean> => {
    try {
      if ((await check()) !== false) return true;
      failure = new Error("the check returned false");
    } catch (error) {
      failure = error;
    }
    return false;
  };
  let cancel: (() => void) | undefined;
  const timeout = new Promise<"timeout">((resolve) => {
    cancel = clock.after(timeoutMs, () => resolve("timeout"));
  });
  try {
    for (;;) {
      const tried = trial();
      let passed = await Promise.race([tried, timeout]);
      // A try that began at the last moment may still pass.
      if (passed === "timeout") passed = await Promise.race([tried, turn(clock)]);
      if (passed) return;
      const leftMs = timeoutMs - (clock.now() - start);
      if (leftMs <= 0) break;
      await new Promise<void>((resolve) => clock.after(Math.min(everyMs, leftMs), resolve));
    }
  } finally {
    cancel?.();
  }
  const text = failure instanceof Error ? failure.message : String(failure);
  throw new Error(`the check still fails after ${timeoutMs} ms of virtual time: ${text}`, { cause: failure });
}

function turn(clock: Clock): Promise<false> {
  return new Promise((resolve) => {
    clock.turn(() => resolve(false));
  });
}
