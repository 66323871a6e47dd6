import { closeSync, openSync, readSync } from "node:fs";

import { type HostCounter, type HostCounts, hostCounters } from "../core/ledger/ledger.js";

/** The maximum number of bytes to read from a file: Linux writes 2,000 to 5,000. */
const maxBytes = 65_536;

/** The counters at the time of this thread's first socket. */
let before: HostCounts | undefined;

/** Makes `hostCounts` count from now on. Only the first call has an effect. */
export function beginHostCounts(): void {
  before ??= readHostCounts();
}

/** Returns the host's counts since this thread's first socket; `undefined` if they cannot be read. Reads two small files. */
export function hostCounts(): HostCounts | undefined {
  beginHostCounts();
  const now = readHostCounts();
  return now && before ? moreThan(before, now) : undefined;
}

/** Returns the increase of each counter between two readings. */
export function moreThan(earlier: HostCounts, later: HostCounts): HostCounts {
  return each((counter) => {
    const [was, is] = [earlier[counter], later[counter]];
    return was === undefined || is === undefined ? undefined : Math.max(0, is - was);
  });
}

/**
 * Returns the host's counts since it was started. They are of the network namespace of this thread: therefore `thread-self`
 * (proc(5)). `undefined` if there are no such files, for example on other systems.
 */
export function readHostCounts(): HostCounts | undefined {
  const [snmp, snmp6] = ["snmp", "snmp6"].map((name) => readStart(`/proc/thread-self/net/${name}`));
  return snmp === undefined && snmp6 === undefined ? undefined : parseHostCounts(snmp ?? "", snmp6 ?? "");
}

/**
 * Reads the counters in the text of /proc/net/snmp and /proc/net/snmp6. The first has a line of names and a line of values
 * for each protocol; the second has a line for each counter.
 */
export function parseHostCounts(snmp: string, snmp6: string): HostCounts {
  const found = new Map<string, number>();
  const lines = snmp.split("\n");
  for (const [index, line] of lines.entries()) {
    const [names, values] = [line.split(" "), (lines[index + 1] ?? "").split(" ")];
    if (names[0] !== values[0]) continue;
    const protocol = names[0]?.replace(/:$/, "");
    for (const [at, name] of names.entries()) note(found, `${protocol}${name}`, values[at]);
  }
  for (const line of snmp6.split("\n")) {
    const [name = "", value] = line.split(/\s+/);
    note(found, name, value);
  }
  return each((counter) => found.get(counter));
}

function note(found: Map<string, number>, name: string, value: string | undefined): void {
  const count = value !== undefined && /^\d+$/.test(value) ? Number(value) : NaN;
  if (Number.isSafeInteger(count)) found.set(name, count);
}

function each(count: (counter: HostCounter) => number | undefined): HostCounts {
  return Object.freeze(
    Object.fromEntries(hostCounters.map((counter) => [counter, count(counter)])) as HostCounts,
  );
}

/** Returns the start of a file; `undefined` if it cannot be read. Files in /proc do not report their size. */
function readStart(path: string): string | undefined {
  const bytes = Buffer.allocUnsafe(maxBytes);
  try {
    const file = openSync(path, "r");
    try {
      let length = 0;
      for (let more = 1; more > 0 && length < maxBytes; length += more) {
        more = readSync(file, bytes, length, maxBytes - length, null);
      }
      return bytes.toString("latin1", 0, length);
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}
