/** The options of `datagram gateway`, and what they are for `gateway()`. */

import type { FolderOptions, GatewayOptions, ShedPolicy } from "../gateway/index.js";
import { usage } from "./exit.js";
import type { ListenTargetOptions } from "./listen-target.js";

/** The options of the command line. */
export interface GatewayCommandOptions extends ListenTargetOptions {
  readonly nats?: readonly string[];
  readonly stream?: string;
  readonly create?: true;
  readonly maxBytes?: number;
  readonly replicas?: number;
  readonly into?: string;
  readonly rotateSize?: number;
  readonly rotateTime?: number;
  readonly limit?: number;
  readonly prefix?: string;
  readonly buckets?: number;
  readonly bundle?: true;
  readonly shed?: ShedPolicy;
  readonly maxWaiting?: number;
  /** `false` after `--no-answers`. */
  readonly answers: boolean;
  readonly seenWithin?: number;
  readonly icmpWait?: number;
  readonly workers?: number;
  /** Whether this process is a worker. */
  readonly worker?: true;
  readonly drain?: number;
  readonly buffer?: number;
  readonly message?: true;
  readonly exact?: true;
  readonly json?: true;
}

/** Options that need a server. */
const serverOnly = {
  stream: "--stream",
  nats: "--nats",
  create: "--create",
  maxBytes: "--max-bytes",
  replicas: "--replicas",
  prefix: "--prefix",
  buckets: "--buckets",
  bundle: "--bundle",
  message: "--message",
  seenWithin: "--seen-within",
  icmpWait: "--icmp-wait",
  workers: "--workers",
} as const satisfies Partial<Record<keyof GatewayCommandOptions, string>>;
const folderOnly = {
  rotateSize: "--rotate-size",
  rotateTime: "--rotate-time",
  limit: "--limit",
} as const satisfies Partial<Record<keyof GatewayCommandOptions, string>>;

/** @throws `Failure` for options that contradict each other. */
export function checkOptions(options: GatewayCommandOptions): void {
  const { create, maxBytes, replicas } = options;
  checkTarget(options);
  checkAnswers(options);
  if (!create && (maxBytes !== undefined || replicas !== undefined))
    throw usage(
      `${maxBytes === undefined ? "--replicas" : "--max-bytes"} is for a new stream: give --create`,
    );
}

/** @throws `Failure` unless there is a stream or a folder, with options for it. */
function checkTarget(options: GatewayCommandOptions): void {
  const { into, stream } = options;
  if (into === undefined && stream === undefined)
    throw usage("give the stream: --stream <name>, such as --stream cameras; or a folder: --into <folder>");
  const others: Partial<Record<keyof GatewayCommandOptions, string>> =
    into === undefined ? folderOnly : serverOnly;
  for (const [name, option] of Object.entries(others)) {
    if (options[name as keyof GatewayCommandOptions] === undefined) continue;
    const instead =
      into === undefined ? "for --into <folder>, not for --stream" : "for a server, not for --into";
    throw usage(`${option} is ${instead}`);
  }
}

/** @throws `Failure` for options of answers if none are sent. */
function checkAnswers({ message, answers, seenWithin, icmpWait }: GatewayCommandOptions): void {
  const option =
    seenWithin !== undefined ? "--seen-within" : icmpWait !== undefined ? "--icmp-wait" : undefined;
  if (option === undefined || (answers && !message)) return;
  throw usage(`${option} is for answers, and ${message ? "--message" : "--no-answers"} sends none`);
}

/** Returns the options of `gateway()`. @param subjects those of all ports, for a new stream. */
export function gatewayOptions(
  subjects: readonly string[],
  options: GatewayCommandOptions,
  { onLosses, onConnection }: Required<Pick<GatewayOptions, "onLosses" | "onConnection">>,
): GatewayOptions | FolderOptions {
  const { into, stream = "", create, maxBytes, replicas, prefix, buckets, bundle } = options;
  const { rotateSize, rotateTime, limit, shed, maxWaiting, drain } = options;
  const { answers, message, seenWithin, icmpWait } = options;
  const both = {
    shed,
    maxWaiting,
    drainMs: drain,
    onLosses,
  };
  if (into !== undefined)
    return { ...both, into, rotateBytes: rotateSize, rotateMs: rotateTime, limitBytes: limit };
  return {
    ...both,
    nats: serversOf(options),
    stream,
    create: create ? { subjects, maxBytes, replicas } : false,
    prefix,
    buckets,
    bundle: bundle === true,
    messages: message === true,
    answers: message !== true && answers && { seenWithinMs: seenWithin, icmpWaitMs: icmpWait },
    onConnection,
  };
}

/** Returns the servers, or the default one. */
export function serversOf({ nats = ["nats://127.0.0.1:4222"] }: GatewayCommandOptions): readonly string[] {
  return nats;
}
