/** Reads and checks values of the command line. The error for a bad value is one line that says what is accepted. */

import { Buffer } from "node:buffer";

import { type Endpoint, anyAddress, isEndpoint } from "../core/address/address.js";
import { AF_INET, AF_INET6, Address, OSError } from "../index.js";
import { kernelStack } from "../kernel/choice.js";
import { formatRate } from "../sim/link/unit-texts.js";
import { Failure, usage } from "./exit.js";

/** The longest time that an option accepts, in milliseconds: one day. */
const maxMs = 24 * 60 * 60 * 1000;
const timeUnits = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
const byteUnits = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 } as const;
/** The largest number of bytes that an option accepts. Linux keeps twice the size of a buffer in an int. */
const maxBytes = 1023 << 20;
/** The largest count that an option accepts. */
const maxCount = 1_000_000_000;

/** Reads `500ms`, `2s`, `1m`, `1h`, or `2` as seconds, for the option `name`, as milliseconds. */
export function duration(name: string, minMs = 1): (text: string) => number {
  return (text) => {
    const [, digits, unit = "s"] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)?$/.exec(text) ?? [];
    const ms = Number(digits) * timeUnits[unit as keyof typeof timeUnits];
    if (ms >= minMs && ms <= maxMs) return ms;
    throw usage(
      `${name} takes a time, such as 2 or 2s (seconds), 500ms, 1m or 1h, from ${minMs}ms to 24h, not ${quote(text)}`,
    );
  };
}

/** Reads `2592x1944`, the width and the height of a picture in pixels, for the option `name`. */
export function pictureSize(name: string): (text: string) => { width: number; height: number } {
  return (text) => {
    const [, width, height] = (/^(\d{1,5})x(\d{1,5})$/.exec(text) ?? []).map(Number);
    const fits = (pixels = 0): boolean => pixels >= 1 && pixels <= 65_535;
    if (width !== undefined && height !== undefined && fits(width) && fits(height)) return { width, height };
    throw usage(`${name} takes a width and a height in pixels, such as 2592x1944, not ${quote(text)}`);
  };
}

/** Bytes as people write them: `64 KiB`, `1.5 MiB`. */
export function formatBytes(bytes: number): string {
  const [unit, size] =
    bytes >= byteUnits.g
      ? ["GiB", byteUnits.g]
      : bytes >= byteUnits.m
        ? ["MiB", byteUnits.m]
        : bytes >= byteUnits.k
          ? ["KiB", byteUnits.k]
          : ["bytes", 1];
  return `${rounded(bytes / size)} ${unit}`;
}

/** A number with three digits or more. */
export function rounded(value: number): number {
  return value >= 1000 ? Math.round(value) : Number(value.toPrecision(3));
}

/** Reads a whole number for the option `name`. */
export function wholeNumber(name: string, min: number, max: number = maxCount): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw usage(`${name} takes a whole number from ${min} to ${max}, not ${quote(text)}`);
  };
}

/** Reads `65536`, `64k` or `4m` for the option `name`, as bytes. */
export function byteSize(name: string): (text: string) => number {
  const limit = { bytes: maxBytes, text: "1023m" };
  return (text) => {
    const [, digits, unit = ""] = /^(\d{1,10})([km]?)$/.exec(text.toLowerCase()) ?? [];
    return checkedBytes(name, text, digits, unit, limit);
  };
}

/** Reads `64k`, `4m` or `2g` for the option `name`, as bytes on a disk. */
export function diskSize(name: string): (text: string) => number {
  const limit = { bytes: 2 ** 50, text: "1048576g" };
  return (text) => {
    const [, digits, unit = ""] = /^(\d{1,16})([kmg]?)$/.exec(text.toLowerCase()) ?? [];
    return checkedBytes(name, text, digits, unit, limit);
  };
}

/**
 * Reads `10%` or the fraction `1/10` for the option `name`, as a ratio. A bare number is refused, because `1` could mean
 * 1% or all.
 */
export function share(name: string): (text: string) => number {
  return (text) => {
    if (/^0(?:\.0{1,9})?$/.test(text)) return 0;
    const [, percent, part, whole] =
      /^(?:(\d{1,3}(?:\.\d{1,9})?|\.\d{1,9})%|(\d{1,9})\/(\d{1,9}))$/.exec(text) ?? [];
    const ratio = percent ? Number(percent) / 100 : Number(part) / Number(whole);
    if (ratio >= 0 && ratio <= 1) return ratio;
    const bare = /^[\d.]+$/.test(text) ? ": a bare number may be percent or a ratio" : "";
    throw usage(
      `${name} takes a share in percent, such as 10%, or as a fraction, such as 1/10, from 0% to 100%, not ${quote(text)}${bare}`,
    );
  };
}

/** What a bit rate is counted in, as tc(8) has it. */
const rateUnits = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 } as const;

/** Reads `1mbit`, `500kbit` or bare bits a second for the option `name`, as tc(8) does. */
export function bitRate(name: string): (text: string) => number {
  return (text) => {
    const [, digits, unit = "bit"] = /^(\d{1,13}(?:\.\d{1,3})?)([kmg]?bit)?$/.exec(text.toLowerCase()) ?? [];
    const rateBps = Math.round(Number(digits) * rateUnits[unit as keyof typeof rateUnits]);
    if (rateBps >= 100 && rateBps <= 1e12) return rateBps;
    const units = "such as 1mbit, 500kbit or bare bits a second";
    throw usage(`${name} takes a rate, ${units}, from 100bit to 1000gbit, not ${quote(text)}`);
  };
}

/** A measured rate, with three digits: `9.83 Mbit/s`. */
export function measuredRate(rateBps: number): string {
  return formatRate(Number(rateBps.toPrecision(3)));
}

/** Reads an address to listen on. A port alone means 127.0.0.1, and `:port` means every interface. */
export function listeningAddress(text: string): Address {
  return parseAddress(
    text,
    "listen takes a port or host:port, such as 9000, 0.0.0.0:9000 or [::]:9000",
    "127.0.0.1",
  );
}

/** Reads a destination. */
export function destination(text: string): Address {
  const to = parseAddress(text, "a destination is host:port or [v6]:port");
  if (to.host === "") throw usage(`a destination needs a host before the colon, not ${quote(text)}`);
  if (to.port === 0) throw usage(`port 0 is not a destination: ${quote(text)}`);
  return to;
}

/**
 * Reads the destinations of `datagram send`.
 *
 * @param args all arguments, with the data. They are for the message about data of several words without quotes.
 * @param option the option because of which there is no data among them.
 */
export function destinationsOf(
  words: readonly string[],
  args: readonly string[],
  option: string | undefined,
): Address[] {
  return words.map((word, index) => {
    try {
      return destination(word);
    } catch (error) {
      if (!(error instanceof Failure) || index === 0) throw error;
      const hint = option
        ? `with ${option} every argument is a destination`
        : `data of several words needs quotes: datagram send ${words.slice(0, index).join(" ")} ${inQuotes(args.slice(index))}`;
      throw usage(`${error.message}: ${hint}`);
    }
  });
}

/** Words as one argument of a shell. */
export function inQuotes(words: readonly string[]): string {
  const text = words.join(" ");
  return /["$`\\!]/.test(text) ? `'${text.replaceAll("'", "'\\''")}'` : `"${text}"`;
}

/** Resolves the host of an address. A name becomes its IPv4 address if it has one, else its IPv6 address. */
export async function resolved(address: Address): Promise<Endpoint> {
  if (address.host === "") return anyAddress(AF_INET, address.port);
  if (isEndpoint(address)) return address;
  const stack = kernelStack();
  for (const family of [AF_INET, AF_INET6] as const) {
    try {
      const [found] = await stack.resolve(address.host, family);
      if (found) return found.withPort(address.port) as Endpoint;
    } catch (error) {
      if (!(error instanceof OSError && error.code === "ENOTFOUND")) throw error;
    }
  }
  throw new OSError("ENOTFOUND", { address: address.host });
}

/** Reads several shares with commas between them, such as `1%,25%`, for the option `name`: from `min` to `max` of them. */
export function shares(name: string, min: number, max: number): (text: string) => number[] {
  return (text) => {
    const parts = text.split(",");
    if (parts.length >= min && parts.length <= max) return parts.map(share(name));
    throw usage(`${name} takes ${min} to ${max} shares such as 1%,25%, not ${quote(text)}`);
  };
}

/** Reads pairs of hex digits, with or without spaces between the bytes, for the option `name`. */
export function hexBytes(text: string, name = "--hex"): Buffer {
  const digits = text.replaceAll(/\s+/g, "");
  if (/^(?:[0-9a-f]{2})*$/i.test(digits)) return Buffer.from(digits, "hex");
  throw usage(`${name} takes pairs of hex digits such as 00ff or "00 ff", not ${quote(text)}`);
}

/** The beginning of what was typed, in quotes. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

function checkedBytes(
  name: string,
  text: string,
  digits: string | undefined,
  unit: string,
  limit: { readonly bytes: number; readonly text: string },
): number {
  const bytes = Number(digits) * byteUnits[unit as keyof typeof byteUnits];
  if (bytes >= 1 && bytes <= limit.bytes) return bytes;
  throw usage(`${name} takes bytes, such as 65536, 64k or 4m, from 1 to ${limit.text}, not ${quote(text)}`);
}

function parseAddress(text: string, expected: string, defaultHost?: string): Address {
  try {
    return Address.parse(text, defaultHost);
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === "ERR_SOCKET_BAD_PORT") throw usage(`a port is a number from 0 to 65535, not ${quote(text)}`);
    throw usage(`${expected}, not ${quote(text)}`);
  }
}
