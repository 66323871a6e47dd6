#!/usr/bin/env node
/** The command `datagram`. */

import { Command, CommanderError } from "commander";

import { addDoctor } from "./doctor.js";
import { Failure, exitCodes } from "./exit.js";
import { addListen } from "./listen.js";
import { addMtu } from "./mtu.js";
import { printable } from "./payload.js";
import { addProxy } from "./proxy.js";
import { addRequest } from "./request.js";
import { addSend } from "./send.js";
import { onNotices, watchOutput } from "./terminal.js";
import { version } from "./version.js";

const help = `
Data goes to standard output; notices, warnings and summaries go to standard
error.

Examples:
  datagram listen 9000 --reply "ack: {}"   answer whoever sends, on this machine
  datagram send 127.0.0.1:9000 hello       one datagram, and away
  datagram request 127.0.0.1:9000 ping     send, and wait for the answer
  datagram mtu 127.0.0.1:9000              how large a datagram gets there whole
  datagram proxy 0 [::1]:9000 --loss 5%    a bad network in between
  datagram doctor                          what this machine can do

Exit codes:
  0  done
  1  error
  2  usage: what was typed makes no sense
  3  no answer in time
  4  refused: nobody is listening there, or it cannot be reached

Environment:
  DATAGRAM_DRIVER=native|dgram   use this driver, or fail where there is none
  NO_COLOR=1                     no colours on a terminal`;

let name = "datagram";
watchOutput(end);
const program = new Command(name)
  .description(
    "UDP datagrams from the command line: listen, send, ask, measure the path, make it worse, see what this machine can do.",
  )
  .version(version)
  // Errors are told below, in one line, and with exit codes of our own.
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

/** Ends the command at once: standard output does not take what it is given. */
function end(error: Error): void {
  tell(error);
  process.exit();
}

/** Says in one line what went wrong, and sets the exit code for it. */
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
  // Without a command, or asked for help with an unknown one, commander would show its help as an error.
  if (error instanceof CommanderError && error.code === "commander.help") {
    return "give a command: listen, send, request, mtu, proxy or doctor; datagram --help tells about them";
  }
  // What the library advises is a call; here it is an option.
  const option = error.message.includes("name the interface (") ? "; here: --interface <name>" : "";
  return error.message.replace(/^error: /, "").replaceAll("\n", " ") + option;
}
