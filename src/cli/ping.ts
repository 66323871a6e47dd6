import { type Command, Option } from "commander";

import type { Address } from "../index.js";
import { formatDuration } from "../sim/link/unit-texts.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { destination, duration, resolved, wholeNumber } from "./option-values.js";
import { frameProbes, textProbes } from "./ping-probes.js";
import { type PingOptions, PingSession } from "./ping-session.js";
import { type RouteOptions, addRouteOptions, isGroup, pingMeanings } from "./route-options.js";
import { openConnected } from "./sender-sockets.js";
import { stopSignal } from "./terminal.js";

/** The smallest and the largest probe. The smallest has room for its text. */
const [minSize, maxSize, defaultSize] = [40, 65_507, 56] as const;

const help = `
The peer must answer each datagram: datagram listen --echo or --reply does, and
so does the receiver of the page. A probe is a text with its number, so an
answer that contains it is matched with its probe, however late it comes. Any
other answer counts for the newest probe that waits for one.

With --message the peer is one that reads messages, such as datagram receive or
messages() of datagram/message. A probe is then a PROBE frame of 24 bytes, which
such a peer answers by itself.

Each answer is one line on standard output, and so is a probe that was not
answered in the time of --timeout, and an ICMP error, such as nobody is
listening there. Ctrl-C ends the command with a summary on standard error: the
losses, the shortest, the median, the 99th percentile and the longest round
trip, and the jitter of RFC 3550 (section 6.4.1), here over round trips. Probes
that wait for their answer at the end count neither as answered nor as lost.
With --json each line is an object, and so is the summary.

The exit code is 0 if at least one probe was answered, else 1.

Examples:
  datagram ping 192.168.1.20:9000
  datagram ping 192.168.1.20:9000 --count 100 --interval 20ms --size 1400
  datagram ping 192.168.1.20:9000 --message
  datagram ping [2001:db8::7]:9000 --count 10 --json`;

interface PingCommandOptions extends PingOptions, RouteOptions {
  readonly size?: number;
  readonly message?: boolean;
}

/** Adds `datagram ping`. */
export function addPing(program: Command): void {
  const command = program
    .command("ping")
    .summary("measure losses and round trips to a peer")
    .description("Sends small datagrams to a peer that answers, and measures losses, round trips and jitter.")
    .argument("<host:port>", "the peer that answers", destination)
    .option("--count <n>", "end after n probes; without it, at Ctrl-C", wholeNumber("--count", 1))
    .addOption(
      new Option("--interval <time>", "the time between two probes")
        .argParser(duration("--interval"))
        .default(1000, formatDuration(1000)),
    )
    .option(
      "--size <bytes>",
      `bytes of each probe, ${minSize} to ${maxSize} (default: ${defaultSize})`,
      wholeNumber("--size", minSize, maxSize),
    )
    .addOption(
      new Option("--timeout <time>", "how long a probe waits for its answer")
        .argParser(duration("--timeout"))
        .default(2000, formatDuration(2000)),
    )
    .addOption(
      new Option("--message", "probe a peer that reads messages, such as datagram receive").conflicts("size"),
    )
    .option("--json", "print one JSON object a line");
  addRouteOptions(command, pingMeanings).addHelpText("after", help).action(ping);
}

async function ping(where: Address, options: PingCommandOptions): Promise<void> {
  const to = await resolved(where);
  if (isGroup(to)) throw usage(`ping is for one peer: datagram request --all collects the answers of ${to}`);
  const stop = stopSignal();
  await using s = await openConnected(to, options);
  const { size = defaultSize, message } = options;
  const session = new PingSession(
    s,
    s.getpeername(),
    message ? frameProbes(s.random()) : textProbes(s.random(), size),
    options,
  );
  await session.run(stop);
  if (session.answered > 0) return;
  const who = message ? "reads messages (datagram receive does)" : "answers (datagram listen --echo does)";
  throw new Failure(
    exitCodes.error,
    session.refusal ?? `no answer from ${to}: lost, or no program there ${who}`,
  );
}
