/** The options of commands that read a stream of the gateway in place of a socket or a file. */

import { type Command, Option } from "commander";

import {
  type ConsumeOptions,
  type ConsumeStats,
  type ConsumeWarning,
  type StreamReading,
  type StreamStart,
  consume,
} from "../gateway/index.js";
import { withoutUser } from "../gateway/server-url.js";
import { OSError } from "../index.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { quote, wholeNumber } from "./option-values.js";
import { warn } from "./terminal.js";

/** The options beside `--from nats://…`. */
export interface StreamOptions {
  readonly stream?: string;
  readonly since?: StreamStart;
  readonly port?: number;
  readonly peer?: string;
  readonly prefix?: string;
  readonly buckets?: number;
}

const names = ["stream", "since", "port", "peer", "prefix", "buckets"] as const;

/** Adds the options. */
export function addStreamOptions(command: Command): Command {
  return command
    .addOption(new Option("--stream <name>", "with --from nats://host: the stream"))
    .option(
      "--since <where>",
      "start at new, a number of a message, or a time such as 2026-11-28T10:00:00Z (default: beginning)",
      since,
    )
    .option("--port <n>", "of the stream: only datagrams to this port", wholeNumber("--port", 1, 65_535))
    .option("--peer <address>", "of the stream: only datagrams of this address, with or without a port")
    .option(
      "--prefix <tokens>",
      "of the stream: only datagrams of gateways with this --prefix (default: all)",
    )
    .option(
      "--buckets <n>",
      "of the stream: the --buckets of its gateway, or 0 for a subject per peer; with --peer the server leaves out the rest",
      wholeNumber("--buckets", 0, 65_536),
    );
}

/** Whether a value of `--from` is a server of NATS. */
export function isServer(text: string): boolean {
  return /^(?:nats|tls):\/\//.test(text);
}

/**
 * Reads a stream, as the options say.
 *
 * @throws `Failure` if they are wrong.
 */
export function openStream(
  servers: readonly string[],
  { stream, since: from, port, peer, prefix, buckets }: StreamOptions,
  more: Pick<ConsumeOptions, "until" | "signal" | "onConnection">,
): StreamReading {
  if (stream === undefined) throw usage("give the stream: --stream <name>, such as --stream cameras");
  try {
    const onWarning = ({ message }: ConsumeWarning): void => warn(message);
    return consume({ nats: servers, stream, from, port, peer, prefix, buckets, onWarning, ...more });
  } catch (error) {
    if (error instanceof RangeError) throw usage(`--${error.message}`);
    throw error;
  }
}

/** @throws `Failure` if there is an option of streams without a stream. */
export function refuseStreamOptions(options: StreamOptions & { readonly from?: readonly string[] }): void {
  const found = names.find((name) => options[name] !== undefined);
  const [from] = options.from ?? [];
  if (found && from !== undefined)
    throw usage(`with --${found}, --from must be a server, such as nats://127.0.0.1, not ${quote(from)}`);
  if (found) throw usage(`--${found} is for a stream: give --from nats://host too`);
}

/**
 * Refuses options that a stream has no use for.
 *
 * @param allowed the names of all others.
 * @param why follows the option in the error.
 */
export function allowOptions(command: Command, allowed: readonly string[], why: string): void {
  for (const { long, attributeName } of command.options.map((each) => ({
    long: each.long,
    attributeName: each.attributeName(),
  }))) {
    const isGiven = command.getOptionValueSource(attributeName) === "cli";
    if (isGiven && !allowed.includes(attributeName) && !names.some((name) => name === attributeName))
      throw usage(`${long ?? attributeName} ${why}`);
  }
}

/** An error of a stream as a line that names it. Others are returned unchanged. */
export function streamFailure(error: unknown): unknown {
  if (!(error instanceof OSError) || (error.syscall !== "consume" && error.syscall !== "gateway"))
    return error;
  const text = error.message.replace(/^(?:consume|gateway): /, "").replace(/ \([A-Z]+\)$/, "");
  if (error.code !== "ECONNREFUSED") return new Failure(exitCodes.error, text);
  const option = error.syscall === "gateway" ? "--nats" : "--from";
  const isAway = /(?:connection refused|timeout)$/.test(text);
  const todo = isAway ? `: start a server: nats-server -js, or name one with ${option}` : "";
  return new Failure(exitCodes.refused, `${text}${todo}`);
}

/** `the stream cameras of nats://host`, without a password. */
export function streamName(servers: readonly string[], stream = ""): string {
  return `the stream ${stream} of ${servers.map((server) => withoutUser(server)).join(", ")}`;
}

/** What of a stream is not among its datagrams, a line for each cause that happened. */
export function streamLosses({ missing = 0, foreign, resumed }: ConsumeStats): string[] {
  const causes: readonly (readonly [number, string])[] = [
    [missing, "deleted in the stream, between them"],
    [foreign, "messages that no gateway has written, left out"],
    [resumed, "breaks of the connection, read on after each"],
  ];
  return causes.filter(([number]) => number > 0).map(([number, text]) => `  ${text}: ${number}`);
}

function since(text: string): StreamStart {
  if (text === "beginning" || text === "new") return text;
  if (/^[1-9]\d{0,15}$/.test(text)) return { sequence: Number(text) };
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? new Date(text) : new Date(Number.NaN);
  if (!Number.isNaN(time.getTime())) return { time };
  throw usage(
    `--since takes beginning, new, the number of a message, or a time such as 2026-11-28T10:00:00Z, not ${quote(text)}`,
  );
}
