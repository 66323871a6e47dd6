import { outOfRange, wholeNumber, wrongType } from "../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../core/errors/fields.js";
import type { Losses } from "./losses.js";
import { withoutUser } from "./server-url.js";
import { checkPrefix, checkStreamName } from "./subjects.js";

/** Which datagram of a peer is shed. */
export type ShedPolicy = "newest" | "oldest";

/** The subjects and the limits of a stream that is created. */
export interface NewStream {
  /** The subjects that it takes, with wildcards: for the gateways of several ports. @default those of this gateway */
  readonly subjects?: readonly string[] | undefined;
  /** Bytes of all its messages, 1 or more. @default the limit of the server */
  readonly maxBytes?: number | undefined;
  /** Milliseconds after which a message is deleted, 1 or more. @default never */
  readonly maxAgeMs?: number | undefined;
  /** The number of servers that keep each message, 1 to 5. @default 1 */
  readonly replicas?: number | undefined;
}

/** The limits of answers. */
export interface AnswerOptions {
  /** The largest number of peers that can be answered, 1 to 10,000,000: the least recently seen is forgotten. @default 100000 */
  readonly maxPeers?: number | undefined;
  /** Milliseconds since the last datagram of a peer, after which it is not answered, 1 to 86,400,000. @default 600000 */
  readonly seenWithinMs?: number | undefined;
  /** Milliseconds that an answer waits for an ICMP error before the requester is told, 0 to 10,000. @default 100 */
  readonly icmpWaitMs?: number | undefined;
  /** The largest number of answers that are not settled, 1 to 1,000,000: further ones are refused. @default 4096 */
  readonly maxPending?: number | undefined;
}

/** The options of `gateway()`. */
export interface GatewayOptions {
  /** The server, or several servers of a cluster: `nats://127.0.0.1:4222`, `nats://user:password@host`. */
  readonly nats: string | readonly string[];
  /** The name of the stream. */
  readonly stream: string;
  /** Whether a missing stream is created, or the limits of that stream. @default false */
  readonly create?: boolean | NewStream | undefined;
  /** The first tokens of the subjects. @default "datagram" */
  readonly prefix?: string | undefined;
  /** The number of buckets, 1 to 65,536, in place of a subject for each peer. @default no buckets, and 1 with `bundle` */
  readonly buckets?: number | undefined;
  /**
   * Whether the datagrams of a bucket that arrive together become one message, with up to 1,024 datagrams and 32 KiB. The server can
   * then store several times as many. `consume()` reads both. @default false
   */
  readonly bundle?: boolean | undefined;
  /** Which datagram of a peer is shed if too many wait: the one that arrives, or the oldest one. @default "newest" */
  readonly shed?: ShedPolicy | undefined;
  /** The largest number of datagrams that are sent and not acknowledged, 1 to 1,000,000. @default 8192 */
  readonly maxUnacknowledged?: number | undefined;
  /** The largest number of datagrams that wait to be sent, 1 to 10,000,000. @default 65536 */
  readonly maxWaiting?: number | undefined;
  /** Bytes of payloads, headers and 256 more for each datagram that is not settled, 131,072 or more. @default 134217728 */
  readonly maxBytes?: number | undefined;
  /** Milliseconds after which a datagram without an acknowledgement is sent again, 100 to 600,000. @default 5000 */
  readonly ackTimeoutMs?: number | undefined;
  /** Milliseconds for which a datagram that no stream takes is sent again, 0 to 600,000. Then it is refused. @default 10000 */
  readonly giveUpMs?: number | undefined;
  /** Whether whole messages of `datagram/message` are stored, in place of datagrams. No answers are sent then. @default false */
  readonly messages?: boolean | undefined;
  /** Whether answers to peers are sent, or their limits. @default true, and false for messages */
  readonly answers?: boolean | AnswerOptions | undefined;
  /** Milliseconds that `close()` waits for acknowledgements, 0 to 600,000. @default 5000 */
  readonly drainMs?: number | undefined;
  /** Is called with the losses since its last call: at most once a second, and whenever the connection changes. */
  readonly onLosses?: ((losses: Losses) => void) | undefined;
  /** Is called when the connection to the server is lost, and when it is there again. */
  readonly onConnection?: ((state: "connected" | "disconnected") => void) | undefined;
  /** Further options for `connect` of `@nats-io/transport-node`, such as `{ token: "…" }` or `{ tls: {} }`. */
  readonly client?: object | undefined;
}

/** What a server and a folder have in common. */
export interface WaitingOptions {
  readonly shed: ShedPolicy;
  readonly maxWaiting: number;
  readonly maxBytes: number;
  readonly drainMs: number;
}

/** The limits of answers with their defaults. */
export type CheckedAnswers = { readonly [Name in keyof AnswerOptions]-?: number };

/** The options with their defaults. */
export interface CheckedOptions extends WaitingOptions {
  readonly servers: readonly string[];
  readonly stream: string;
  readonly create: NewStream | undefined;
  readonly prefix: string;
  readonly buckets: number | undefined;
  readonly bundle: boolean;
  readonly maxUnacknowledged: number;
  readonly ackTimeoutMs: number;
  readonly giveUpMs: number;
  readonly messages: boolean;
  readonly answers: CheckedAnswers | undefined;
  readonly onLosses: ((losses: Losses) => void) | undefined;
  readonly onConnection: ((state: "connected" | "disconnected") => void) | undefined;
  readonly client: object;
}

const maxTimeMs = 600_000;
const fields = fieldsOf<GatewayOptions>({
  nats: true,
  stream: true,
  create: true,
  prefix: true,
  buckets: true,
  bundle: true,
  shed: true,
  maxUnacknowledged: true,
  maxWaiting: true,
  maxBytes: true,
  ackTimeoutMs: true,
  giveUpMs: true,
  messages: true,
  answers: true,
  drainMs: true,
  onLosses: true,
  onConnection: true,
  client: true,
});
const answerFields = fieldsOf<AnswerOptions>({
  maxPeers: true,
  seenWithinMs: true,
  icmpWaitMs: true,
  maxPending: true,
});
const streamFields = fieldsOf<NewStream>({ subjects: true, maxBytes: true, maxAgeMs: true, replicas: true });

/** @throws `TypeError`, `RangeError` that name the option. */
export function checkOptions(options: GatewayOptions): CheckedOptions {
  if (typeof (options as unknown) !== "object" || (options as unknown) === null)
    throw wrongType("options", "an object with nats and stream", options);
  refuseUnknown(options, fields, "options: a field");
  const { nats, stream, prefix = "datagram", buckets, client = {} } = options;
  const { maxUnacknowledged = 8192, ackTimeoutMs = 5000, giveUpMs = 10_000 } = options;
  const { onLosses, onConnection } = options;
  if (typeof client !== "object" || (client as unknown) === null)
    throw wrongType("client", "an object", client);
  const { messages = false, bundle = false, answers = !messages } = options;
  if (typeof messages !== "boolean") throw wrongType("messages", "a boolean", messages);
  if (typeof bundle !== "boolean") throw wrongType("bundle", "a boolean", bundle);
  if (messages && bundle) throw outOfRange("bundle", "false, because whole messages are stored", bundle);
  if (messages && answers !== false)
    throw outOfRange("answers", "false, because messages are stored", answers);
  checkFunction("onLosses", onLosses);
  checkFunction("onConnection", onConnection);
  return {
    ...checkWaiting(options),
    servers: checkServers(nats),
    stream: checkStreamName(stream),
    create: checkNewStream(options.create),
    prefix: checkPrefix(prefix),
    buckets: buckets === undefined ? undefined : wholeNumber("buckets", buckets, 1, 65_536),
    bundle,
    maxUnacknowledged: wholeNumber("maxUnacknowledged", maxUnacknowledged, 1, 1_000_000),
    ackTimeoutMs: wholeNumber("ackTimeoutMs", ackTimeoutMs, 100, maxTimeMs),
    giveUpMs: wholeNumber("giveUpMs", giveUpMs, 0, maxTimeMs),
    messages,
    answers: checkAnswers(answers),
    onLosses,
    onConnection,
    client,
  };
}

/** Checks what a server and a folder have in common. @throws `TypeError`, `RangeError`. */
export function checkWaiting(options: {
  readonly [Name in keyof WaitingOptions]?: WaitingOptions[Name] | undefined;
}): WaitingOptions {
  const { shed = "newest", maxWaiting = 65_536, maxBytes = 128 << 20, drainMs = 5000 } = options;
  if (!["newest", "oldest"].includes(shed)) throw outOfRange("shed", "newest or oldest", shed);
  return {
    shed,
    maxWaiting: wholeNumber("maxWaiting", maxWaiting, 1, 10_000_000),
    maxBytes: wholeNumber("maxBytes", maxBytes, 131_072, Number.MAX_SAFE_INTEGER),
    drainMs: wholeNumber("drainMs", drainMs, 0, maxTimeMs),
  };
}

/** Checks the URLs of servers. @throws `TypeError`, `RangeError`. */
export function checkServers(nats: unknown): string[] {
  const servers: unknown[] = Array.isArray(nats) ? nats : [nats];
  if (servers.length === 0) throw outOfRange("nats", "one server or more", "none");
  const users = new Set<string>();
  const checked = servers.map((server) => {
    if (typeof server !== "string") throw wrongType("nats", "a string such as nats://127.0.0.1:4222", server);
    if (!URL.canParse(server) || new URL(server).hostname === "" || !/^(?:nats|tls):\/\//.test(server)) {
      // The text may have a password.
      throw outOfRange("nats", "a URL such as nats://127.0.0.1:4222", withoutUser(server, "…@"));
    }
    const { username, password } = new URL(server);
    if (!isEncoded(username) || !isEncoded(password))
      throw outOfRange("nats", "a user and a password with %25 for each %", withoutUser(server, "…@"));
    if (username !== "") users.add(`${username}:${password}`);
    return server;
  });
  // The client has one user for all servers of a cluster.
  if (users.size > 1) throw outOfRange("nats", "the same user and password for all servers", "several");
  return checked;
}

function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function checkNewStream(create: unknown): NewStream | undefined {
  if (create === undefined || create === false) return undefined;
  if (create === true) return {};
  if (typeof create !== "object" || create === null)
    throw wrongType("create", "a boolean or an object", create);
  refuseUnknown(create, streamFields, "create: a field");
  const { subjects, maxBytes, maxAgeMs, replicas } = create as NewStream;
  // The server checks the texts.
  const isList = Array.isArray(subjects) && subjects.every((each) => typeof each === "string");
  if (subjects !== undefined && !isList) throw wrongType("create.subjects", "an array of strings", subjects);
  if (maxBytes !== undefined) wholeNumber("create.maxBytes", maxBytes, 1, Number.MAX_SAFE_INTEGER);
  if (maxAgeMs !== undefined) wholeNumber("create.maxAgeMs", maxAgeMs, 1, 1e11);
  if (replicas !== undefined) wholeNumber("create.replicas", replicas, 1, 5);
  return { subjects, maxBytes, maxAgeMs, replicas };
}

function checkAnswers(answers: unknown): CheckedAnswers | undefined {
  if (answers === false) return undefined;
  const given = answers === true ? {} : answers;
  if (typeof given !== "object" || given === null)
    throw wrongType("answers", "a boolean or an object", answers);
  refuseUnknown(given, answerFields, "answers: a field");
  const {
    maxPeers = 100_000,
    seenWithinMs = 600_000,
    icmpWaitMs = 100,
    maxPending = 4096,
  } = given as AnswerOptions;
  return {
    maxPeers: wholeNumber("answers.maxPeers", maxPeers, 1, 10_000_000),
    seenWithinMs: wholeNumber("answers.seenWithinMs", seenWithinMs, 1, 86_400_000),
    icmpWaitMs: wholeNumber("answers.icmpWaitMs", icmpWaitMs, 0, 10_000),
    maxPending: wholeNumber("answers.maxPending", maxPending, 1, 1_000_000),
  };
}

/** @throws `TypeError` for something else than a function or `undefined`. */
export function checkFunction(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "function") throw wrongType(name, "a function", value);
}
