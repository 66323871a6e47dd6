import type { Command } from "commander";

import { ExecCommand } from "./exec-command.js";
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
  datagram gateway 9000 --stream cameras   store each datagram in NATS JetStream
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

type Add = (program: Command) => void;

/** For each subcommand, in the order of the help, a function that loads what adds it to the program. */
const commands: Readonly<Record<string, () => Promise<Add>>> = {
  listen: async () => (await import("./listen.js")).addListen,
  watch: async () => (await import("./watch.js")).addWatch,
  send: async () => (await import("./send.js")).addSend,
  receive: async () => (await import("./receive.js")).addReceive,
  record: async () => (await import("./record.js")).addRecord,
  read: async () => (await import("./read.js")).addRead,
  replay: async () => (await import("./replay.js")).addReplay,
  gateway: async () => (await import("./gateway.js")).addGateway,
  request: async () => (await import("./request.js")).addRequest,
  serve: async () => (await import("./serve.js")).addServe,
  ping: async () => (await import("./ping.js")).addPing,
  mtu: async () => (await import("./mtu.js")).addMtu,
  proxy: async () => (await import("./proxy.js")).addProxy,
  run: async () => (await import("./run.js")).addRun,
  doctor: async () => (await import("./doctor.js")).addDoctor,
  completion: async () => (await import("./completion.js")).addCompletion,
};

/**
 * Returns the command `datagram`. To start fast, it loads no subcommand that the arguments do not need.
 *
 * @param first the first argument of the command. Without it, all subcommands are loaded.
 */
export async function datagramProgram(first = ""): Promise<Command> {
  const program = new ExecCommand("datagram")
    .description(
      "UDP datagrams from the command line: listen, watch, send, receive files, record, read and replay captures, store in NATS, request, serve, ping, measure a path, simulate a bad network, run programs of node:dgram, show what this machine can do.",
    )
    .version(version)
    // Errors are printed by `main.ts`, on one line and with the exit codes of this command.
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .addHelpText("after", help);
  for (const add of await Promise.all(loadersFor(first).map((load) => load()))) add(program);
  return program;
}

function loadersFor(first: string): readonly (() => Promise<Add>)[] {
  if (first === "--version" || first === "-V") return [];
  const own = Object.hasOwn(commands, first) ? commands[first] : undefined;
  // The scripts of `completion` have the options of every subcommand.
  return own === undefined || first === "completion" ? Object.values(commands) : [own];
}
