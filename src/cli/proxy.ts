import { type Command, Option } from "commander";

import { isOverIPv4 } from "../core/address/address.js";
import type { Address } from "../index.js";
import { type Relay, type ProxyOptions as RelayOptions, type ProxyRule, proxy } from "../proxy/index.js";
import { usage } from "./exit.js";
import { type FaultOptions, addFaults, describeLink, linkOf } from "./faults.js";
import { RelayReport } from "./relay-report.js";
import { readRules } from "./rules.js";
import { notice, stopSignal } from "./terminal.js";
import { destination, duration, listeningAddress, resolved, wholeNumber } from "./values.js";

const help = `
Each option of what happens on the way has a form for one direction alone:
--up-loss, --up-delay and so on, from clients to the target, and --down-loss
and so on for the way back. These go before those for both, and those before
what --profile says.

  shares  10%, or as a fraction 1/10; a bare number is refused
  times   50ms, 0.05s
  rates   1mbit, 500kbit, 8000 (bits a second, as tc(8) has it)

Order is kept, whatever the jitter: --reorder alone lets datagrams overtake.
--mtu drops what is larger without a word, as where ICMP is filtered: a relay
cannot send any. What --corrupt has changed is passed on, with a right checksum
of the kernel's.

Each client has a socket of its own before the target, and gets what comes back
to it. Nobody else's datagrams pass. Times are met to a millisecond or two.

Each of several targets gets a copy of each datagram. Clients get the answers of
the first target, or of all with --answers all. A name is looked up for each new
client. If ICMP says that its address is gone, it is looked up again, and the
clients move to the new address.

--rule applies to certain datagrams, before the link does. There may be up to 64
rules. A rule says what to do, and to which datagrams:
  drop, corrupt or delay=200ms
  up or down            only that direction
  client=10.0.0.7       of one client, or client=10.0.0.7:5000 of one port
  text=GET@0            that contain this text, at an offset or anywhere
  hex=00ff@4            that contain these bytes
  numbers=1-2,7,100-    which of these, counted from 1 in each direction

Where to listen:
  9000           for this machine alone (127.0.0.1)
  0.0.0.0:9000   on every IPv4 interface; [::]:9000 is every interface
  0              on a free port, which the line "listening on ..." tells

What passed and what became of it stands on standard error: on a terminal once
a second in one place, else every 10 s where something has changed, and in the
end. With --json it is an object a line on standard output instead, once a
second where something has changed and at the end. Ctrl-C ends the command.

--seed repeats the draws, not the timing: datagrams that come in the same order
meet the same losses.

Examples:
  datagram proxy 9001 127.0.0.1:9000 --loss 10% --delay 50ms --jitter 20ms
  datagram proxy 9001 camera.local:9000 --profile lte --seed 7
  datagram proxy 9001 127.0.0.1:9000 --up-loss 30% --down-rate 500kbit
  datagram proxy 9001 127.0.0.1:9000 --rule "drop up numbers=1-2"
  datagram proxy 9001 127.0.0.1:9000 --rule "delay=200ms down hex=0001@4"
  datagram proxy 9001 127.0.0.1:9000 192.168.1.20:9000 --answers all
  datagram proxy 0.0.0.0:9001 192.168.1.20:9000 --mtu 1280 --duration 1m --json`;

interface ProxyOptions extends FaultOptions {
  readonly rule?: readonly ProxyRule[];
  readonly answers?: "first" | "all";
  readonly seed?: number;
  readonly clients?: number;
  readonly idle?: number;
  readonly duration?: number;
  readonly json?: boolean;
}

/** Adds `datagram proxy`. */
export function addProxy(program: Command): void {
  const command = program
    .command("proxy")
    .summary("relay datagrams, and do to them what a bad network does")
    .description("Relays datagrams between clients and a target, and does to them what a bad network does.")
    .argument("<[host:]port>", "where clients send to", listeningAddress)
    .argument("<host:port...>", "the target, or several", targetsSoFar);
  addFaults(command)
    .option("--rule <rule>", "drop, corrupt or delay certain datagrams, see below", readRules)
    .addOption(
      new Option("--answers <whose>", "which of several targets may answer clients").choices([
        "first",
        "all",
      ]),
    )
    .option(
      "--seed <n>",
      "what the draws follow from (default: a random one)",
      wholeNumber("--seed", 0, 0xffff_ffff),
    )
    .option(
      "--clients <n>",
      "how many there may be at one time (default: 1024)",
      wholeNumber("--clients", 1, 60_000),
    )
    .option(
      "--idle <time>",
      "forget clients of whom nothing came for so long (default: 1m)",
      duration("--idle"),
    )
    .option("--duration <time>", "end after that long", duration("--duration"))
    .option("--json", "print what passed as JSON objects, one a line")
    .addHelpText("after", help)
    .action(relay);
}

/** Reads one target more. */
function targetsSoFar(text: string, before: readonly Address[] = []): Address[] {
  return [...before, destination(text)];
}

async function relay(listen: Address, targets: readonly Address[], options: ProxyOptions): Promise<void> {
  const at = await resolved(listen);
  const overIPv4 = isOverIPv4(at);
  const link = linkOf(options, overIPv4);
  const { rule: rules, answers, seed, clients: maxClients, idle: idleMs } = options;
  const signal = stopSignal();
  await using running = await start({ listen: at, targets, answers, link, rules, seed, maxClients, idleMs });
  const [up, down] = describeLink(link, overIPv4);
  notice(`listening on ${running.address} for ${running.targets.join(", ")}`);
  notice(`  up:   ${up}`);
  notice(`  down: ${down}`);
  for (const { rule } of running.stats().rules) notice(`  rule: ${rule}`);
  notice(`  seed ${running.seed}`);
  const report = new RelayReport(running, options.json === true);
  try {
    await report.run(signal, options.duration);
  } finally {
    await running.close();
    await report.end();
  }
}

/** @throws `Failure` for options that only the relay can check. */
async function start(options: RelayOptions): Promise<Relay> {
  try {
    return await proxy(options);
  } catch (error) {
    if (error instanceof RangeError) throw usage(error.message);
    throw error;
  }
}
