/** Rules for certain datagrams: of one client, by number, by payload. */

import { Buffer } from "node:buffer";

import { refuseUnknown } from "../core/errors/fields.js";
import { sameHost } from "../core/address/same-host.js";
import { parseLiteral } from "../core/ip.js";
import { outOfRange, wholeNumber, wrongType } from "../core/errors/errors.js";
import { Address, type AddressLike, type Endpoint } from "../index.js";
import { maxDurationMs } from "../sim/time/event.js";

/**
 * An action, and conditions. The action applies to datagrams that match all of them. A condition that is left out matches
 * all.
 */
export interface ProxyRule {
  /**
   * Drops datagrams, flips one bit of each, or delays them for `delayMs` milliseconds (0 to 31 days) more than the link
   * does.
   */
  readonly action: "drop" | "corrupt" | { readonly delayMs: number };
  /** `"up"` is from clients to the targets. @default both directions, each with its own count */
  readonly direction?: "up" | "down" | undefined;
  /** The client that the datagrams are from or for: an IP address, with or without a port: `"10.0.0.7:5000"`. */
  readonly client?: string | AddressLike | undefined;
  /** Bytes that the payload contains, 1 to 64; text is UTF-8. */
  readonly bytes?: string | Uint8Array | undefined;
  /** The offset of `bytes` in the payload, 0 to 65,506. @default anywhere */
  readonly at?: number | undefined;
  /** Returns whether a datagram matches, for other conditions. If it throws, the rule ends. */
  readonly when?: ((datagram: RelayedDatagram) => boolean) | undefined;
  /**
   * Selects datagrams by number. Those that match the other conditions are counted from 1 in each direction. The value is an
   * array of numbers, or a text of numbers and ranges such as `"1-2"`, `"3,7"`, `"100-"`. @default all
   */
  readonly numbers?: string | readonly number[] | undefined;
}

/** The argument of `ProxyRule.when`. */
export interface RelayedDatagram {
  /** The payload. Valid during the call only. */
  readonly data: Buffer;
  /** `"up"` is from a client to the targets, `"down"` from a target to a client. */
  readonly direction: "up" | "down";
  /** The client that the datagram is from or for. */
  readonly client: Endpoint;
}

/** The counts of a rule so far. */
export interface RuleStats {
  /** The rule in the form of the command line: `drop up numbers=1-2`. */
  readonly rule: string;
  /** Datagrams that it was applied to, from clients to the targets. */
  readonly up: number;
  /** Datagrams that it was applied to, from the targets to clients. */
  readonly down: number;
  /** The message of the error that `when` threw, which has ended the rule. */
  readonly error: string | undefined;
}

/** A rule of a running relay. */
export interface RelayRule {
  /** The counts of the rule so far. */
  stats(): RuleStats;
  /** Ends the rule. May be called twice. */
  remove(): void;
}

/** The largest number of rules of a relay at one time, because each datagram is compared with each rule. */
export const maxRules = 64;
/** Bytes of the longest pattern. A search takes time in proportion to this times the size of the datagram, at worst. */
const maxPatternBytes = 64;
const maxOffset = 65_506;
const maxNumber = 1_000_000_000;
/** The largest number of numbers and ranges of one rule. */
const maxRanges = 256;

/** Both ends are included. */
type Range = readonly [from: number, to: number];

/** A rule whose fields were read and checked, in a form that is quick to compare. */
export interface CheckedRule {
  readonly action: "drop" | "corrupt" | "delay";
  readonly delayMs: number;
  readonly direction: "up" | "down" | undefined;
  readonly client: { readonly host: string; readonly port: number | undefined } | undefined;
  readonly bytes: Buffer | undefined;
  readonly at: number | undefined;
  readonly when: ((datagram: RelayedDatagram) => boolean) | undefined;
  readonly numbers: readonly Range[] | undefined;
}

/** @throws `TypeError`, `RangeError` that begin with `where` and name the field. */
export function checkRule(rule: ProxyRule, where: string): CheckedRule {
  if (typeof (rule as unknown) !== "object" || (rule as unknown) === null)
    throw wrongType(where, "an object with an action", rule);
  refuseUnknown(rule, Object.keys(ruleFields), `${where}: a field`);
  const { direction, client, bytes, at, when, numbers } = rule;
  if (direction !== undefined && !["up", "down"].includes(direction))
    throw outOfRange(`${where}: direction`, "up or down", direction);
  if (when !== undefined && typeof when !== "function") throw wrongType(`${where}: when`, "a function", when);
  if (at !== undefined && bytes === undefined)
    throw outOfRange(`${where}: at`, "left out without bytes, which it is the offset of", at);
  return {
    ...checkAction(rule.action, `${where}: action`),
    direction,
    client: client === undefined ? undefined : checkClient(client, `${where}: client`),
    bytes: bytes === undefined ? undefined : checkBytes(bytes, `${where}: bytes`),
    at: at === undefined ? undefined : wholeNumber(`${where}: at`, at, 0, maxOffset),
    when,
    numbers: numbers === undefined ? undefined : checkNumbers(numbers, `${where}: numbers`),
  };
}

/** The text of a rule in the form of the command line. */
export function formatRule({
  action,
  delayMs,
  direction,
  client,
  bytes,
  at,
  when,
  numbers,
}: CheckedRule): string {
  const ranges = numbers?.map(([from, to]) =>
    from === to ? String(from) : `${from}-${to === Infinity ? "" : to}`,
  );
  return [
    action === "delay" ? `delay=${delayMs}ms` : action,
    direction,
    client && `client=${client.port === undefined ? client.host : new Address(client.host, client.port)}`,
    bytes && `${formatPattern(bytes)}${at === undefined ? "" : `@${at}`}`,
    when && "when(…)",
    ranges && `numbers=${ranges.join(",")}`,
  ]
    .filter((word) => word !== undefined)
    .join(" ");
}

const ruleFields: Readonly<Record<keyof ProxyRule, true>> = {
  action: true,
  direction: true,
  client: true,
  bytes: true,
  at: true,
  when: true,
  numbers: true,
};

function checkAction(action: unknown, what: string): Pick<CheckedRule, "action" | "delayMs"> {
  if (action === "drop" || action === "corrupt") return { action, delayMs: 0 };
  const expected = '"drop", "corrupt" or { delayMs }';
  if (typeof action === "string") throw outOfRange(what, expected, action);
  if (typeof action !== "object" || action === null) throw wrongType(what, expected, action);
  refuseUnknown(action, ["delayMs"], `${what}: a field`);
  const { delayMs } = action as { delayMs?: unknown };
  const range = `milliseconds from 0 to ${maxDurationMs}`;
  if (typeof delayMs !== "number") throw wrongType(`${what}: delayMs`, range, delayMs);
  if (!(delayMs >= 0 && delayMs <= maxDurationMs)) throw outOfRange(`${what}: delayMs`, range, delayMs);
  return { action: "delay", delayMs };
}

function checkClient(client: string | AddressLike, what: string): NonNullable<CheckedRule["client"]> {
  const expected = "an IP address, or one with a port such as 10.0.0.7:5000 or [::1]:5000";
  if (typeof client === "string" && parseLiteral(client)) return { host: client, port: undefined };
  let address: Address;
  try {
    address = typeof client === "string" ? Address.parse(client) : Address.from(client);
  } catch (error) {
    if (error instanceof TypeError) throw wrongType(what, expected, client);
    throw outOfRange(what, expected, client);
  }
  const { host, port } = address;
  if (!parseLiteral(host) || port === 0) throw outOfRange(what, expected, client);
  return { host, port };
}

function checkBytes(bytes: unknown, what: string): Buffer {
  if (typeof bytes !== "string" && !(bytes instanceof Uint8Array))
    throw wrongType(what, "a string or a Uint8Array", bytes);
  // A copy, because the caller may change its array.
  const pattern = Buffer.from(bytes as string);
  if (pattern.length >= 1 && pattern.length <= maxPatternBytes) return pattern;
  throw outOfRange(what, `1 to ${maxPatternBytes} bytes`, pattern.length);
}

function checkNumbers(numbers: unknown, what: string): Range[] {
  const expected = 'numbers from 1 on, or a text such as "1-2", "3,7" or "100-"';
  if (typeof numbers !== "string" && !Array.isArray(numbers)) throw wrongType(what, expected, numbers);
  const each: readonly unknown[] = typeof numbers === "string" ? numbers.split(",") : numbers;
  if (each.length === 0 || each.length > maxRanges)
    throw outOfRange(what, `1 to ${maxRanges} numbers or ranges`, each.length);
  return each.map((one): Range => {
    if (typeof one === "number") {
      const number = wholeNumber(what, one, 1, maxNumber);
      return [number, number];
    }
    if (typeof one !== "string") throw wrongType(what, expected, one);
    const [, first, to] = /^(\d{1,10})(-\d{0,10})?$/.exec(one) ?? [];
    const from = Number(first);
    const last = to === undefined ? from : to === "-" ? Infinity : Number(to.slice(1));
    if (!(from >= 1 && from <= maxNumber && last >= from)) throw outOfRange(what, expected, one);
    return [from, last];
  });
}

/** Printable ASCII as text, other bytes as hex digits. */
function formatPattern(bytes: Buffer): string {
  const text = bytes.toString("latin1");
  if (!/^[\x20-\x7e]+$/.test(text)) return `hex=${bytes.toString("hex")}`;
  return `text=${/^[^\s"@]+$/.test(text) ? text : JSON.stringify(text)}`;
}

/** Whether a rule applies to a client. */
export function isClient({ client }: CheckedRule, address: Endpoint): boolean {
  if (!client) return true;
  return (client.port === undefined || client.port === address.port) && sameHost(client.host, address.host);
}

/** Whether a payload contains the bytes of a rule. */
export function hasBytes({ bytes, at }: CheckedRule, data: Buffer): boolean {
  if (!bytes) return true;
  if (at === undefined) return data.includes(bytes);
  return at + bytes.length <= data.length && bytes.compare(data, at, at + bytes.length) === 0;
}

/** Whether a rule applies to the datagram with this number. */
export function hasNumber({ numbers }: CheckedRule, number: number): boolean {
  return !numbers || numbers.some(([from, to]) => number >= from && number <= to);
}
