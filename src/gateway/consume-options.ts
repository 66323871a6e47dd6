import { Address, type AddressLike, type Endpoint, isEndpoint } from "../core/address/address.js";
import { sameHost } from "../core/address/same-host.js";
import { outOfRange, wholeNumber, wrongType } from "../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../core/errors/fields.js";
import { parseLiteral } from "../core/ip.js";
import { checkFunction, checkServers } from "./options.js";
import { bucketOf, checkPrefix, checkStreamName, peerToken } from "./subjects.js";

/** Where the reading of a stream starts. */
export type StreamStart =
  | "beginning"
  | "new"
  | {
      /** The number of a message, 1 or more. If it is deleted, the reading starts with the next one. */
      readonly sequence: number;
    }
  | {
      /** The first message that was stored at this time or later: a `Date`, or nanoseconds since 1970. */
      readonly time: Date | bigint;
    };

/** What seems wrong with the options of a reading. */
export interface ConsumeWarning {
  /** `STREAM_BUCKETS`: `buckets` is not that of the gateways. `STREAM_ENDS_EARLIER`: `from` is after the end of the stream. */
  readonly code: "STREAM_BUCKETS" | "STREAM_ENDS_EARLIER";
  /** What is wrong, and what to do. */
  readonly message: string;
}

/** The options of `consume()`. */
export interface ConsumeOptions {
  /** The server, or several servers of a cluster: `nats://127.0.0.1:4222`, `nats://user:password@host`. */
  readonly nats: string | readonly string[];
  /** The name of the stream. */
  readonly stream: string;
  /**
   * The first message: the oldest one that the stream has, the first one that is stored from now on, the message with this number, or
   * the first one that was stored at this time (`Date`, or nanoseconds since 1970). @default "beginning"
   */
  readonly from?: StreamStart | undefined;
  /** `"now"` ends with the last message that the stream has at the start. Without it, the iteration waits for new messages. */
  readonly until?: "now" | undefined;
  /** Only datagrams that arrived at this local port, 1 to 65,535. */
  readonly port?: number | undefined;
  /** Only datagrams of this peer: an address such as `"10.0.0.7:9000"`, or `"10.0.0.7"` for all its ports. */
  readonly peer?: string | AddressLike | undefined;
  /**
   * The number of buckets that the gateways have, up to 65,536, or 0 if each peer has a subject of its own (neither `buckets` nor
   * `bundle`). With a `peer` that has a port, the server then delivers the messages of its bucket, or its own, only. Without it,
   * the server delivers all messages, and the reading chooses. A wrong number hides datagrams of the peer, with a warning.
   */
  readonly buckets?: number | undefined;
  /** Only messages of gateways with this `prefix`. @default all messages; for answers, `port` and `peer`: "datagram" */
  readonly prefix?: string | undefined;
  /** The largest number of messages that are read before the program takes them, 1 to 65,536. @default 4096 */
  readonly prefetch?: number | undefined;
  /** Ends the iteration: it rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /** Is called when the connection to the server is lost, and when it is there again. */
  readonly onConnection?: ((state: "connected" | "disconnected") => void) | undefined;
  /**
   * Is called with what seems wrong with the options: `STREAM_ENDS_EARLIER` if the stream has no message yet before the number in
   * `from`, `STREAM_BUCKETS` if `buckets` is not that of the gateways. @default a warning of the process
   */
  readonly onWarning?: ((warning: ConsumeWarning) => void) | undefined;
  /** Further options for `connect` of `@nats-io/transport-node`, such as `{ token: "…" }` or `{ tls: {} }`. */
  readonly client?: object | undefined;
}

/** The options with their defaults. */
export interface CheckedConsume {
  readonly servers: readonly string[];
  readonly stream: string;
  readonly from: "beginning" | "new" | { readonly sequence: number } | { readonly time: bigint };
  readonly untilNow: boolean;
  /** The wanted subjects, with wildcards; `undefined`: all of the stream. */
  readonly filter: string | undefined;
  /** The bucket in `filter`, out of how many, if it is there; then also `wider`: the subjects of all buckets. */
  readonly bucket: { readonly buckets: number; readonly wider: string } | undefined;
  /** The first tokens of the subjects of the gateways. */
  readonly prefix: string;
  /** Whether a datagram is wanted, since the server may deliver others too. */
  readonly isWanted: (source: Endpoint, subject: string) => boolean;
  readonly prefetch: number;
  readonly signal: AbortSignal | undefined;
  readonly onConnection: ((state: "connected" | "disconnected") => void) | undefined;
  readonly onWarning: (warning: ConsumeWarning) => void;
  readonly client: object;
}

const fields = fieldsOf<ConsumeOptions>({
  nats: true,
  stream: true,
  from: true,
  until: true,
  port: true,
  peer: true,
  buckets: true,
  prefix: true,
  prefetch: true,
  signal: true,
  onConnection: true,
  onWarning: true,
  client: true,
});
const nsPerMs = 1_000_000n;
const defaultPrefix = "datagram";

/** @throws `TypeError`, `RangeError` that name the option. */
export function checkConsume(options: ConsumeOptions): CheckedConsume {
  if (typeof (options as unknown) !== "object" || (options as unknown) === null)
    throw wrongType("options", "an object with nats and stream", options);
  refuseUnknown(options, fields, "options: a field");
  const { nats, stream, from = "beginning", until, port, peer, buckets, prefix } = options;
  const { prefetch = 4096, signal, onConnection, onWarning, client = {} } = options;
  if (until !== undefined && (until as string) !== "now") throw outOfRange("until", "now", until);
  if (port !== undefined) wholeNumber("port", port, 1, 65_535);
  if (buckets !== undefined) wholeNumber("buckets", buckets, 0, 65_536);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw wrongType("signal", "an AbortSignal", signal);
  if (typeof client !== "object" || (client as unknown) === null)
    throw wrongType("client", "an object", client);
  checkFunction("onConnection", onConnection);
  checkFunction("onWarning", onWarning);
  if (prefix !== undefined) checkPrefix(prefix);
  const wanted = peer === undefined ? undefined : checkPeer(peer);
  return {
    servers: checkServers(nats),
    stream: checkStreamName(stream),
    from: checkStart(from),
    untilNow: until === "now",
    ...filterOf(prefix, port, wanted, buckets),
    prefix: prefix ?? defaultPrefix,
    isWanted: (source, subject) =>
      (wanted === undefined || isPeer(source, wanted)) &&
      (prefix === undefined || subject.startsWith(`${prefix}.`)) &&
      (port === undefined || subject.split(".").at(-2) === String(port)),
    prefetch: wholeNumber("prefetch", prefetch, 1, 65_536),
    signal,
    onConnection,
    onWarning: onWarning ?? warnOnProcess,
    client,
  };
}

function checkStart(from: unknown): CheckedConsume["from"] {
  const expected = '"beginning", "new", { sequence } or { time }';
  if (from === "beginning" || from === "new") return from;
  if (typeof from !== "object" || from === null) throw wrongType("from", expected, from);
  refuseUnknown(from, ["sequence", "time"], "from: a field");
  const { sequence, time } = from as { sequence?: unknown; time?: unknown };
  if ((sequence === undefined) === (time === undefined)) throw outOfRange("from", expected, "another object");
  if (sequence !== undefined)
    return { sequence: wholeNumber("from.sequence", sequence, 1, Number.MAX_SAFE_INTEGER) };
  const ns = time instanceof Date && !Number.isNaN(time.getTime()) ? BigInt(time.getTime()) * nsPerMs : time;
  if (typeof ns !== "bigint") throw wrongType("from.time", "a Date or a bigint", time);
  if (ns < 0n || ns > 0x7fff_ffff_ffff_ffffn) throw outOfRange("from.time", "a time from 1970 to 2262", ns);
  return { time: ns };
}

function checkPeer(peer: unknown): Endpoint {
  const expected = "an IP address with or without a port, such as 10.0.0.7:9000 or 10.0.0.7";
  let address: Address | undefined;
  if (typeof peer === "string") {
    try {
      address = parseLiteral(peer) ? new Address(peer, 0) : Address.parse(peer);
    } catch {
      throw outOfRange("peer", expected, peer);
    }
  } else address = Address.from(peer as AddressLike);
  if (!isEndpoint(address)) throw outOfRange("peer", expected, String(address));
  return address;
}

/** The subjects that are asked for. Without a number of buckets, those of a peer are not known: bundles are always in buckets. */
function filterOf(
  prefix: string | undefined,
  port: number | undefined,
  peer: Endpoint | undefined,
  buckets: number | undefined,
): Pick<CheckedConsume, "filter" | "bucket"> {
  if (prefix === undefined && port === undefined && peer === undefined)
    return { filter: undefined, bucket: undefined };
  const start = `${prefix ?? defaultPrefix}.${port ?? "*"}`;
  const wider = `${start}.*`;
  if (!peer || peer.port === 0 || buckets === undefined) return { filter: wider, bucket: undefined };
  const token = peerToken(peer);
  const last = buckets === 0 ? token : bucketOf(token, buckets);
  return { filter: `${start}.${last}`, bucket: { buckets, wider } };
}

function warnOnProcess({ code, message }: ConsumeWarning): void {
  process.emitWarning(message, { type: "DatagramWarning", code });
}

/** An IPv4 address that is mapped to IPv6 is the IPv4 address. */
function isPeer(source: Endpoint, peer: Endpoint): boolean {
  return (peer.port === 0 || source.port === peer.port) && sameHost(source.host, peer.host);
}
