import { Address, type AddressLike } from "../index.js";
import { INADDR_BROADCAST } from "../core/constants.js";
import { isMulticast, parseLiteral } from "../core/ip.js";
import { outOfRange, wholeNumber, wrongType } from "../core/errors/errors.js";
import { refuseUnknown } from "../core/errors/fields.js";
import { type CheckedSettings, checkLink, hasDirections } from "../sim/link/check.js";
import { profiles } from "../sim/link/profiles.js";
import type { LinkInput, LinkSettings } from "../sim/link/settings.js";
import type { RecordOptions } from "../capture/index.js";
import type { ProxyRule } from "./rules.js";

/** The options of `proxy()`. */
export interface ProxyOptions {
  /**
   * The address that datagrams of clients go to. A name is resolved at the start and for each new client (the resolver caches for 10 s).
   * If ICMP says that its address is gone, it is resolved again, and clients move to the new address. IPv4 is preferred.
   */
  readonly target?: AddressLike | undefined;
  /** Instead of `target`: up to 16 targets. Each gets a copy of every datagram. */
  readonly targets?: readonly AddressLike[] | undefined;
  /** Which of several targets may answer clients. @default "first" */
  readonly answers?: "first" | "all" | undefined;
  /**
   * The address that clients send to. Port 0 lets the kernel choose; host `""` is every IPv4 interface. @default
   * ["127.0.0.1", 0]
   */
  readonly listen?: AddressLike | undefined;
  /**
   * What happens to datagrams, as for the links of `datagram/sim`: settings for both directions, `{ up, down }` with settings
   * for each ("up" is from clients to the target), or the name of a profile. Two fields differ here: `mtuBytes` drops larger
   * datagrams without an ICMP error, and every size passes without it; corrupted datagrams are always passed on, whatever
   * `corruptPasses` is. @default nothing happens
   */
  readonly link?: LinkInput | undefined;
  /**
   * Rules for certain datagrams, applied before the link: up to 64, in their order. `Relay.addRule` adds more. @default none
   */
  readonly rules?: readonly ProxyRule[] | undefined;
  /**
   * The seed of all random draws, a uint32: with the same seed, the same datagrams have the same fate. @default random, see
   * `Relay.seed`
   */
  readonly seed?: number | undefined;
  /**
   * Records the relay from its first datagram on, as `Relay.record` does: the path of the file, or its path with the options of
   * `record`. See `Relay.recording`. @default nothing is recorded
   */
  readonly record?: string | URL | number | RelayRecordOptions | undefined;
  /** The largest number of clients at one time, 1 to 60,000. Each takes a socket for each target. @default 1024 */
  readonly maxClients?: number | undefined;
  /** Milliseconds without a datagram in either direction after which a client is forgotten, 1 to a day. @default 60,000 */
  readonly idleMs?: number | undefined;
  /** The largest number of datagrams in flight, in each direction, 1 to 10,000,000. @default 65,536 */
  readonly maxInFlight?: number | undefined;
  /** The largest number of payload bytes in flight, in each direction, 65,536 to 2^32. @default 67,108,864 */
  readonly maxInFlightBytes?: number | undefined;
}

/** The file that a relay is recorded to, and the options of `record` of `datagram/capture`. */
export interface RelayRecordOptions extends RecordOptions {
  /** A path or a `file:` URL, whose folder must exist, or a descriptor that is open for writing. */
  readonly file: string | URL | number;
}

/** What happens to the datagrams of one direction. */
export interface DirectionFaults {
  readonly settings: CheckedSettings;
  /** Bytes of the largest packet that passes. */
  readonly mtuBytes: number;
}

/** The options with their defaults. */
export interface CheckedOptions {
  readonly targets: readonly Address[];
  readonly allAnswer: boolean;
  readonly listen: Address;
  readonly rules: readonly ProxyRule[];
  readonly link: LinkInput;
  readonly seed: number | undefined;
  readonly record: { readonly file: string | URL | number; readonly options: RecordOptions } | undefined;
  readonly maxClients: number;
  readonly idleMs: number;
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
}

/** @throws `TypeError`, `RangeError` that name the option. */
export function checkOptions(options: ProxyOptions): CheckedOptions {
  if (typeof (options as unknown) !== "object" || (options as unknown) === null) {
    throw wrongType("options", "an object with a target", options);
  }
  // A setting of a link that is outside of `link` would have no effect.
  refuseUnknown(options, Object.keys(fields), "options: a field");
  const { listen = ["127.0.0.1", 0], link = {}, rules = [], seed, idleMs = 60_000 } = options;
  const { maxClients = 1024, maxInFlight = 65_536, maxInFlightBytes = 64 << 20 } = options;
  const { answers = "first" } = options;
  if (!["first", "all"].includes(answers)) throw outOfRange("answers", "first or all", answers);
  if (!Array.isArray(rules)) throw wrongType("rules", "an array", rules);
  return {
    targets: checkTargets(options),
    allAnswer: answers === "all",
    listen: readAddress("listen", listen),
    link,
    rules,
    seed: seed === undefined ? undefined : wholeNumber("seed", seed, 0, 0xffff_ffff),
    record: checkRecord(options.record),
    maxClients: wholeNumber("maxClients", maxClients, 1, 60_000),
    idleMs: wholeNumber("idleMs", idleMs, 1, 86_400_000),
    maxInFlight: wholeNumber("maxInFlight", maxInFlight, 1, 10_000_000),
    maxInFlightBytes: wholeNumber("maxInFlightBytes", maxInFlightBytes, 65_536, 2 ** 32),
  };
}

/**
 * Checks the settings of both directions.
 *
 * @param overIPv4 whether clients send over IPv4.
 *
 * @throws `TypeError`, `RangeError` that name the field.
 */
export function checkDirections(
  link: LinkInput,
  overIPv4: boolean,
): { readonly up: DirectionFaults; readonly down: DirectionFaults } {
  const { up, down } = checkLink(link, "link");
  return {
    up: withMtu(up, namedMtu(link, "up"), "up", overIPv4),
    down: withMtu(down, namedMtu(link, "down"), "down", overIPv4),
  };
}

const fields: Readonly<Record<keyof ProxyOptions, true>> = {
  target: true,
  listen: true,
  link: true,
  targets: true,
  answers: true,
  rules: true,
  seed: true,
  record: true,
  maxClients: true,
  idleMs: true,
  maxInFlight: true,
  maxInFlightBytes: true,
};

function checkRecord(record: ProxyOptions["record"]): CheckedOptions["record"] {
  if (record === undefined) return undefined;
  if (typeof record === "string" || typeof record === "number" || record instanceof URL)
    return { file: record, options: {} };
  if (typeof record !== "object" || (record as unknown) === null)
    throw wrongType("record", "a path, a URL, a descriptor or an object with a file", record);
  const { file, ...options } = record;
  return { file, options };
}

/** The largest number of targets, because each datagram is copied to all of them. */
const maxTargets = 16;

function checkTargets({ target, targets }: ProxyOptions): readonly Address[] {
  if (targets === undefined) return [checkTarget("target", target as AddressLike)];
  if (target !== undefined) throw outOfRange("targets", "left out if target is given", targets);
  if (!Array.isArray(targets)) throw wrongType("targets", "an array of addresses", targets);
  if (targets.length < 1 || targets.length > maxTargets)
    throw outOfRange("targets", `1 to ${maxTargets} addresses`, targets.length);
  const checked = targets.map((each: AddressLike, index) => checkTarget(`targets[${index}]`, each));
  for (const [index, each] of checked.entries()) {
    const twin = checked.findIndex((other) => other.equals(each));
    if (twin < index)
      throw outOfRange(`targets[${index}]`, `an address other than targets[${twin}]`, String(each));
  }
  return checked;
}

function checkTarget(option: string, given: AddressLike): Address {
  const target = readAddress(option, given);
  const literal = parseLiteral(target.host);
  if (literal && (isMulticast(literal.bytes) || target.host === INADDR_BROADCAST)) {
    // Answers to a group or a broadcast come from other addresses, and a connected socket drops those.
    throw outOfRange(option, "the address of one host", target.host);
  }
  if (target.port === 0) throw outOfRange(option, "an address with a port from 1 to 65535", 0);
  return target;
}

function readAddress(option: string, given: AddressLike): Address {
  try {
    return Address.from(given);
  } catch (error) {
    if (error instanceof Error) error.message = `${option}: ${error.message}`;
    throw error;
  }
}

function withMtu(
  settings: CheckedSettings,
  named: number | undefined,
  direction: string,
  overIPv4: boolean,
): DirectionFaults {
  if (named !== undefined && named < 1280 && !overIPv4) {
    throw outOfRange(`link, ${direction}: mtuBytes`, "1280 or more over IPv6", named);
  }
  // If the firewall drops fragments, datagrams that need fragments do not pass.
  const bounded = named !== undefined || settings.firewall.dropFragments;
  return { settings, mtuBytes: bounded ? settings.mtuBytes : Infinity };
}

/** The MTU that a checked link or its profile names for a direction; without one, a relay does not use the default MTU. */
function namedMtu(link: LinkInput, direction: "up" | "down"): number | undefined {
  const own = hasDirections(link) ? (link[direction] ?? {}) : link;
  const { profile, mtuBytes }: LinkSettings = typeof own === "string" ? { profile: own } : own;
  return mtuBytes ?? (profile && profiles[profile][direction].mtuBytes);
}
