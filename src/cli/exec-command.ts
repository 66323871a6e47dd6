import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";

import { Command } from "commander";

import { Failure, exitCodes } from "./exit.js";
import { asSystemFailure } from "./system-errors.js";

/**
 * A command whose last option is `--exec <command> [args...]`. All arguments after `--exec` belong to the other command, also
 * those that begin with a dash. The program, which lacks the option, leaves them to its subcommand.
 */
export class ExecCommand extends Command {
  override parseOptions(args: string[]): ReturnType<Command["parseOptions"]> {
    const [name = "", ...rest] = args;
    if (this.commands.some((command) => command.name() === name && command instanceof PassThroughCommand))
      return { operands: [name], unknown: rest };
    const at = args.indexOf("--exec");
    const end = args.indexOf("--");
    const words = args.slice(at + 1);
    if (at < 0 || (end >= 0 && end < at) || words.length === 0) return super.parseOptions(args);
    const parsed = super.parseOptions(args.slice(0, at));
    if (!this.options.some(({ long }) => long === "--exec"))
      return { ...parsed, unknown: [...parsed.unknown, "--exec", ...words] };
    this.setOptionValue("exec", words);
    return parsed;
  }
}

/**
 * A command whose options end at its first argument. That argument and all after it belong to another command, also words that
 * begin with a dash. commander's `passThroughOptions` would change where every other command takes `--version`.
 */
export class PassThroughCommand extends Command {
  override parseOptions(args: string[]): ReturnType<Command["parseOptions"]> {
    let end = 0;
    while (end < args.length && /^-./.test(args[end] ?? "") && args[end] !== "--") {
      const option = this.options.find(({ short, long }) => args[end] === short || args[end] === long);
      end += option?.required ? 2 : 1;
    }
    const parsed = super.parseOptions(args.slice(0, end));
    const words = args.slice(args[end] === "--" ? end + 1 : end);
    return { operands: [...parsed.operands, ...words], unknown: parsed.unknown };
  }
}

/** @throws `Failure` if there is no such program. Without a slash in its name, it is looked for in `PATH`. */
export async function checkProgram(name: string): Promise<void> {
  // Windows finds programs in other ways.
  if (process.platform === "win32") return;
  const folders = name.includes("/") ? [""] : (process.env.PATH ?? "").split(delimiter);
  let failure: unknown;
  for (const folder of folders) {
    try {
      await access(join(folder, name), constants.X_OK);
      return;
    } catch (error) {
      failure = error;
    }
  }
  const what = `run ${JSON.stringify(name)}`;
  if (name.includes("/")) throw asSystemFailure(failure, what);
  throw new Failure(exitCodes.error, `cannot ${what}: there is no such program in PATH`);
}
