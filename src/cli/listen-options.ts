/** The options that `listen`, `watch` and `record` share: where they receive, how they answer, and when they end. */

import { type Command, Option } from "commander";

import { formatDuration } from "../sim/link/unit-texts.js";
import { Failure, exitCodes } from "./exit.js";
import { byteSize, duration, wholeNumber } from "./option-values.js";
import { addRouteOptions, hostFor, listed } from "./route-options.js";

/** The meaning of the options for routes. */
const meanings = {
  interface: "receive the groups on this interface: its name, number or address; may be repeated",
  join: "join this multicast group too",
  source: "answer from this local address, port or both: [host][:port]",
};

/** What `--from` means, and how a value of it is read. */
interface FromOption {
  readonly meaning: string;
  readonly read: (text: string) => string;
}

/** The option `--from`, of commands that receive from sockets only. */
const senders: FromOption = {
  meaning: "receive groups from this sender only; may be repeated",
  read: hostFor("--from"),
};

/** Adds these options to a command. @param from the option `--from`. */
export function addListenOptions(command: Command, from: FromOption = senders): Command {
  command
    .addOption(new Option("--echo", "send each datagram back").conflicts("reply"))
    .option("--reply <text>", "answer each datagram with a text, in which {} is the datagram")
    .option("--buffer <bytes>", "request a receive buffer of this size (default: 4m)", byteSize("--buffer"))
    .option(
      "--guide",
      "show what to type next in another terminal; without a port: 9000 or the next free one",
    );
  return addRouteOptions(command, meanings).option("--from <host>", from.meaning, listed(from.read));
}

/** Adds the options `--count` and `--timeout` to a command. */
export function addEndOptions(command: Command): Command {
  return command
    .option("--count <n>", "end after n datagrams", wholeNumber("--count", 1))
    .option("--timeout <time>", "end if no datagram comes for this time, such as 10s", duration("--timeout"));
}

/** Ends a command whose `--timeout` is over. @throws `Failure` if no datagram came, or fewer than `--count`. */
export function refuseTooFew(datagrams: number, wanted: number | undefined, timeoutMs: number): void {
  const time = formatDuration(timeoutMs);
  if (datagrams === 0) throw new Failure(exitCodes.noAnswer, `no datagram came in ${time}`);
  if (datagrams >= (wanted ?? 0)) return;
  throw new Failure(exitCodes.noAnswer, `${datagrams} of ${wanted} datagrams came, and no more in ${time}`);
}
