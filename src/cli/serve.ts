import { availableParallelism } from "node:os";

import { type Command, Option } from "commander";

import { SOCK_DGRAM, socket } from "../index.js";
import { formatDuration } from "../sim/link/unit-texts.js";
import { ExecCommand, checkProgram } from "./exec-command.js";
import { ExecJobs } from "./exec-jobs.js";
import { usage } from "./exit.js";
import { noticeFallback } from "./fallback.js";
import {
  type ListenAddress,
  bindAndJoin,
  listenTarget,
  parseListenAddress,
  showListenTarget,
} from "./listen-target.js";
import { duration, wholeNumber } from "./option-values.js";
import { ServeSession } from "./serve-session.js";
import { stopSignal } from "./terminal.js";

/** Bytes of the longest reply: of a datagram, and of a message, which is what a requester takes by default. */
const [maxDatagramBytes, maxMessageBytes] = [65_507, 2 << 20] as const;

const help = `
Where to answer: 9000 for this machine alone, and 0.0.0.0:9000 or [::]:9000 on
every interface.

All that follows --exec is the program and its arguments. It is started for each
request, without a shell. The request is its standard input, and its standard
output is the answer: at most 65507 bytes, and with --message 2 MiB. No output
is no answer (with --message an empty one). Its standard error is shown here, at
most 4096 bytes of each process.

The program finds in its environment:
  DATAGRAM_SOURCE_ADDRESS   the IP address that the request came from
  DATAGRAM_SOURCE_PORT      its port
  DATAGRAM_LOCAL_PORT       the port that it came to
  DATAGRAM_SIZE             the bytes of the request
  DATAGRAM_CHANNEL          with --message: its channel

At most --jobs processes run at the same time. Further datagrams wait in the
receive buffer. A process that takes longer than --timeout gets SIGTERM, and
SIGKILL a second later, and so do the processes that it started. If a process
fails, that is reported on standard error, and no answer is sent; with --message
the requester is told that it failed.

A plain datagram may come twice, and then the program runs twice. With --message
requests are those of messages() of datagram/message and of
micropython/datagram.py, of at most 2 MiB, and the program runs at most once for
each.

UDP does not prove where a request came from: an answer goes to the source that
the datagram names. What comes is input of strangers: do not pass it to a shell.

Examples:
  datagram serve 9000 --exec tr a-z A-Z
  datagram serve 0.0.0.0:9000 --timeout 2s --jobs 2 --exec jq .temperature
  datagram serve 0.0.0.0:9000 --message --exec convert - -resize 50% jpg:-`;

interface ServeOptions {
  readonly exec?: readonly [string, ...string[]];
  readonly message?: boolean;
  readonly jobs?: number;
  readonly timeout: number;
}

/** Adds `datagram serve`. */
export function addServe(program: Command): void {
  const command = new ExecCommand("serve").copyInheritedSettings(program);
  program.addCommand(command);
  command
    .summary("answer each request with the output of a program")
    .description("Starts a program for each request, and answers with its output.")
    .usage("[options] <[host:]port> --exec <command> [args...]")
    .argument("<[host:]port>", "where to answer", parseListenAddress)
    .option("--message", "answer the requests of messages, of any size")
    .option(
      "--jobs <n>",
      "run at most n processes at once (default: one for each CPU)",
      wholeNumber("--jobs", 1, 1000),
    )
    .addOption(
      new Option("--timeout <time>", "kill a process that takes longer")
        .argParser(duration("--timeout"))
        .default(10_000, formatDuration(10_000)),
    )
    .option("--exec <command...>", "the program, and all of its arguments: the last option")
    .addHelpText("after", help)
    .action(serve);
}

async function serve(address: ListenAddress, options: ServeOptions): Promise<void> {
  const { exec, message = false, jobs = availableParallelism(), timeout } = options;
  if (!exec) throw usage("give the program that answers, at the end: --exec <command> [args...]");
  await checkProgram(exec[0]);
  const target = await listenTarget(address, {});
  if (message && target.joins.length > 0) throw usage("a message is for one peer, not for a multicast group");
  await using s = socket(target.at.family, SOCK_DGRAM);
  await bindAndJoin(s, target);
  const stop = stopSignal();
  showListenTarget(s, target);
  noticeFallback();
  const maxOutputBytes = message ? maxMessageBytes : maxDatagramBytes;
  const running = new ExecJobs({ command: exec, maxJobs: jobs, timeoutMs: timeout, maxOutputBytes });
  const session = new ServeSession(s, running, exec[0]);
  await (message ? session.answerMessages(stop) : session.answerDatagrams(jobs, stop));
}
