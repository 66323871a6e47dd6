#!/usr/bin/env node
/**
 * The command `datagram`: reads the arguments, runs one subcommand, and turns errors into one line and an exit code.
 *
 * This folder has one file for each subcommand (`listen`, `send`, `request`, `mtu`, `proxy`, `doctor`). Each adds its
 * options and help to the program (`addListen`) and runs it. Options that several subcommands share are in
 * `route-options.ts` and `link-options.ts`, and `option-values.ts` reads their values. `terminal.ts` writes data to
 * standard output and everything else to standard error.
 */

import { Command, CommanderError } from "commander";

import { addDoctor } from "./doctor.js";
import { Failure, exitCodes } from "./exit.js";
import { addListen } from "./listen.js";
import { addMtu } from "./mtu.js";
import { printable } from "./payload.js";
import { addProxy } from "./proxy.js";
import { addRequest } from "./request.js";
import { addSend } from "./send.js";
import { asSystemFailure } from "./system-errors.js";
import { onNotices, watchOutput } from "./terminal.js";
import { version } from "./version.js";

const help = `
Data goes to standard output; notices, warnings and summaries go to standard
error.

Examples:
  datagram listen 9000 --reply "ack: {}"   answer every sender on this machine
  datagram send 127.0.0.1:9000 hello       send one datagram
  datagram request 127.0.0.1:9000 ping     send, and wait for the answer
  datagram mtu 127.0.0.1:9000              find the largest unfragmented datagram
  datagram proxy 0 [::1]:9000 --loss 5%    simulate a bad network in between
  datagram doctor                          show what this machine can do

Exit codes:
  0  done
  1  error
  2  usage: the arguments are wrong
  3  no answer in time
  4  refused: nobody is listening there, or the host cannot be reached

Environment:
  DATAGRAM_DRIVER=native|dgram   use this driver, or fail if it is unavailable
  NO_COLOR=1                     no colours on a terminal`;

let name = "datagram";
watchOutput(end);
const program = new Command(name)
  .description(
    "UDP datagrams from the command line: listen, send, request, measure a path, simulate a bad network, show what this machine can do.",
  )
  .version(version)
  // Errors are printed below, on one line and with the exit codes of this command.
  .exitOverride()
  .configureOutput({ writeErr: () => undefined })
  .addHelpText("after", help)
  .hook("preSubcommand", (_, command) => {
    name = `datagram ${command.name()}`;
  });
for (const add of [addListen, addSend, addRequest, addMtu, addProxy, addDoctor]) add(program);

try {
  await program.parseAsync();
} catch (error) {
  tell(error);
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
  process.stderr.write(`${onNotices("red", `${name}:`)} ${printable(messageOf(error))}\n`);
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Without a command, or for help with an unknown command, commander would print its help as an error.
  if (error instanceof CommanderError && error.code === "commander.help") {
    return "give a command: listen, send, request, mtu, proxy or doctor; datagram --help tells about them";
  }
  // The library's message advises a call. The command has an option for it.
  const option = error.message.includes("name the interface (") ? "; here: --interface <name>" : "";
  return error.message.replace(/^error: /, "").replaceAll("\n", " ") + option;
}
