/** Runs many commands in one process. They must end by themselves: a process of its own can be stopped by a signal. */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { beforeAll } from "vitest";

import { type Lifetime, sharedLifetime } from "../process/programs.js";
import type { Output, Request } from "./fixtures/commands.js";
import { bin } from "./program.js";

const runner = fileURLToPath(new URL("../../build/test/cli/fixtures/commands.js", import.meta.url));

/** Runs one command to its end. It starts after the command before has ended. */
export type Run = (args: readonly string[], input?: string | Buffer) => Promise<Output>;

/** Starts the process before the tests of the calling file or `describe`, and ends it after them. */
export function commandsInOneProcess(env: NodeJS.ProcessEnv = {}): Run {
  const life = sharedLifetime();
  let run: Run;
  beforeAll(() => {
    run = startCommands(life, env);
  });
  return (args, input) => run(args, input);
}

/**
 * Starts the process, which ends with its owner.
 *
 * @param within the first words of a command that runs it on a host of `test/netns/network.ts`.
 */
export function startCommands(
  life: Lifetime,
  env: NodeJS.ProcessEnv = {},
  within: readonly string[] = [],
): Run {
  const [execPath, ...words] = within;
  const start = execPath === undefined ? {} : { execPath, execArgv: [...words, process.execPath] };
  const options = { ...start, env: { ...process.env, ...env }, serialization: "advanced" } as const;
  const child: ChildProcess = fork(runner, [bin], options);
  const ended = new AbortController();
  child.once("exit", () => ended.abort(new Error("the process of the commands ended")));
  life.onTestFinished(async () => {
    const exit = once(child, "exit");
    child.disconnect();
    await exit;
  });
  let last: Promise<unknown> = Promise.resolve();
  return (args, input = "") => {
    const output = last.then(async () => {
      child.send({ args, input } satisfies Request);
      const [said] = (await once(child, "message", { signal: ended.signal })) as [Output];
      return said;
    });
    last = output.catch(() => undefined);
    return output;
  };
}
