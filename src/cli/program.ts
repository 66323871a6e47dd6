import type { Command } from "commander";

import { addCompletion } from "./completion.js";
import { addDoctor } from "./doctor.js";
import { ExecCommand } from "./exec-command.js";
import { addListen } from "./listen.js";
import { addMtu } from "./mtu.js";
import { addPing } from "./ping.js";
import { addProxy } from "./proxy.js";
import { addRead } from "./read.js";
import { addRecord } from "./record.js";
import { addReceive } from "./receive.js";
import { addReplay } from "./replay.js";
import { addRequest } from "./request.js";
import { addRun } from "./run.js";
import { addSend } from "./send.js";
import { addServe } from "./serve.js";
import { addWatch } from "./watch.js";
import { version } from "./version.js";

const help = `
Data goes to standard output; notices, warnings and summaries go to standard
error.

Examples:
  datagram listen 9000 --reply "ack: {}"   answer every sender on this machine
  datagram watch 9000                      show what arrives live in a browser
  datagram send 127.0.0.1:9000 hello       send one datagram
  datagram receive 9000 --into pictures    write each message to a file
  datagram record 9000 -o today.pcapng     record what arrives to a capture file
  datagram read today.pcapng               print the datagrams of a capture file
  datagram replay today.pcapng --to 127.0.0.1:9000   send them again
  datagram request 127.0.0.1:9000 ping     send, and wait for the answer
  datagram serve 9000 --exec tr a-z A-Z    answer with the output of a program
  datagram ping 127.0.0.1:9000             measure losses and round trips
  datagram mtu 127.0.0.1:9000              find the largest unfragmented datagram
  datagram proxy 0 [::1]:9000 --loss 5%    simulate a bad network in between
  datagram run app.js                      run a program of node:dgram over this
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

/** Returns the command `datagram` with its subcommands. */
export function datagramProgram(): Command {
  const program = new ExecCommand("datagram")
    .description(
      "UDP datagrams from the command line: listen, watch, send, receive files, record, read and replay captures, request, serve, ping, measure a path, simulate a bad network, run programs of node:dgram, show what this machine can do.",
    )
    .version(version)
    // Errors are printed by `main.ts`, on one line and with the exit codes of this command.
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .addHelpText("after", help);
  for (const add of [
    addListen,
    addWatch,
    addSend,
    addReceive,
    addRecord,
    addRead,
    addReplay,
    addRequest,
    addServe,
    addPing,
    addMtu,
    addProxy,
    addRun,
    addDoctor,
    addCompletion,
  ])
    add(program);
  return program;
}
