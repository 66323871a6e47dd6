/** Runs many commands in one process. They must end by themselves: a process of its own can be stopped by a signal. */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll } from "vitest";

import type { Output, Request } from "./fixtures/commands.js";
import { bin } from "./program.js";

const runner = fileURLToPath(new URL("../../build/test/cli/fixtures/commands.js", import.meta.url));

/** Runs one command to its end. It starts after the command before has ended. */
type Run = (args: readonly string[], input?: string | Buffer) => Promise<Output>;

/** Starts the process before the tests of the calling file or `describe`, and ends it after them. */
export function commandsInOneProcess(env: NodeJS.ProcessEnv = {}): Run {
  let child: ChildProcess;
  const ended = new AbortController();
  beforeAll(() => {
    child = fork(runner, [bin], { env: { ...process.env, ...env }, serialization: "advanced" });
    child.once("exit", () => ended.abort(new Error("the process of the commands ended")));
  });
  afterAll(async () => {
    const exit = once(child, "exit");
    child.disconnect();
    await exit;
  });
  return async (args, input = "") => {
    child.send({ args, input } satisfies Request);
    const [output] = (await once(child, "message", { signal: ended.signal })) as [Output];
    return output;
  };
}
