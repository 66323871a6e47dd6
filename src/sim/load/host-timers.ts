import timers from "node:timers";
import timersPromises from "node:timers/promises";
import { promisify } from "node:util";

import { everyInterval, nextTurn, sleep } from "../time/program-promises.js";
import { programTimers } from "../time/program-timers.js";

type Callback = (this: unknown, ...args: unknown[]) => void;
type Call = (...args: never[]) => unknown;

/** Whether a program still runs. */
export interface Life {
  readonly isOver: boolean;
}

/** The modules `node:timers` and `node:timers/promises` of a host, and its timers as global functions. */
export interface HostTimers {
  readonly globals: Readonly<Record<string, Call>>;
  readonly timers: object;
  readonly promises: object;
}

/** Makes the timers of a host: those of virtual time, which do nothing after the end of the program. */
export function hostTimers(life: Life): HostTimers {
  const whileAlive = (run: unknown): Callback => {
    // Virtual time says that it is not a function.
    if (typeof run !== "function") return run as Callback;
    return function (...args) {
      if (!life.isOver) Reflect.apply(run, this, args);
    };
  };
  const settled = async <T>(promise: Promise<T>): Promise<T> => {
    const value = await promise;
    return life.isOver ? new Promise<never>(() => undefined) : value;
  };
  const wait = (...given: Parameters<typeof sleep>): Promise<unknown> => settled(sleep(...given));
  const turn = (...given: Parameters<typeof nextTurn>): Promise<unknown> => settled(nextTurn(...given));
  const globals = {
    ...programTimers,
    setTimeout: (run: unknown, ...given: [unknown?, ...unknown[]]) =>
      programTimers.setTimeout(whileAlive(run), ...given),
    setInterval: (run: unknown, ...given: [unknown?, ...unknown[]]) => {
      const interval = programTimers.setInterval(
        function (this: unknown, ...args: unknown[]) {
          if (life.isOver) programTimers.clearInterval(interval);
          else Reflect.apply(run as Callback, this, args);
        },
        ...given,
      );
      return interval;
    },
    setImmediate: (run: unknown, ...args: unknown[]) => programTimers.setImmediate(whileAlive(run), ...args),
  };
  Object.defineProperty(globals.setTimeout, promisify.custom, { value: wait });
  Object.defineProperty(globals.setImmediate, promisify.custom, { value: turn });
  async function* every(...given: Parameters<typeof everyInterval>): AsyncGenerator {
    for await (const value of everyInterval(...given)) {
      if (life.isOver) await new Promise<never>(() => undefined);
      yield value;
    }
  }
  const promises = {
    ...timersPromises,
    setTimeout: wait,
    setImmediate: turn,
    setInterval: every,
    scheduler: { wait: (ms: unknown, options?: object) => wait(ms, undefined, options), yield: () => turn() },
  };
  return { globals, timers: { ...timers, ...globals, promises }, promises };
}
