#!/usr/bin/env node
/**
 * The command `datagram`: reads the arguments, runs one subcommand, and turns errors into one line and an exit code.
 *
 * This folder has one file for each subcommand: `listen`, `send`, `receive`, `read`, `replay`, `request`, `serve`, `ping`, `mtu`,
 * `proxy`, `run`, `doctor`, `completion`. Each adds its options and help to the program (`addListen`) and runs it; `program.ts`
 * has them all. Options that several subcommands share are in `route-options.ts` and `link-options.ts`, and `option-values.ts`
 * reads their values. `terminal.ts` writes data to standard output and everything else to standard error, above the line of
 * `status-line.ts`, and `payload.ts` has the form of payloads.
 */

import { CommanderError } from "commander";

import { Failure, exitCodes } from "./exit.js";
import { printable } from "./payload.js";
import { datagramProgram } from "./program.js";
import { asSystemFailure } from "./system-errors.js";
import { onNotices, watchOutput, writeNotices } from "./terminal.js";
import { asSocketFailure } from "./unreachable.js";

let name = "datagram";
watchOutput(end);
const program = (await datagramProgram(process.argv[2])).hook("preSubcommand", (_, command) => {
  name = `datagram ${command.name()}`;
});

try {
  await program.parseAsync();
} catch (error) {
  tell(asSocketFailure(error));
}

/** Ends the command at once, because standard output cannot be written. */
function end(error: Error): void {
  tell(asSystemFailure(error, "write standard output"));
  process.exit();
}

/** Prints an error on one line, and sets its exit code. */
function tell(error: unknown): void {
  if (error instanceof CommanderError && error.exitCode === 0) return;
  process.exitCode =
    error instanceof CommanderError
      ? exitCodes.usage
      : error instanceof Failure
        ? error.exitCode
        : exitCodes.error;
  writeNotices(`${onNotices("red", `${name}:`)} ${printable(messageOf(error))}\n`);
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Without a command, or for help with an unknown command, commander would print its help as an error.
  if (error instanceof CommanderError && error.code === "commander.help") {
    const names = program.commands.map((command) => command.name());
    return `give a command: ${names.slice(0, -1).join(", ")} or ${names.at(-1)}; datagram --help tells about them`;
  }
  return error.message.replace(/^error: /, "").replaceAll("\n", " ");
}
