import { closeSync, openSync, readSync } from "node:fs";

import { type HostCounter, type HostCounts, hostCounters } from "../core/ledger/ledger.js";

/** Bytes of a file that are read at most: Linux writes two to five thousand. */
const mostBytes = 65_536;

/** What the counters were when this thread's sockets began. */
let before: HostCounts | undefined;

/** Has `hostCounts` count from now on, once. */
export function beginHostCounts(): void {
  before ??= readHostCounts();
}

/** What the host has counted since this thread's first socket; `undefined` where it cannot be read. Two small files are read. */
export function hostCounts(): HostCounts | undefined {
  beginHostCounts();
  const now = readHostCounts();
  return now && before ? moreThan(before, now) : undefined;
}

/** What came to each counter between two readings. */
export function moreThan(earlier: HostCounts, later: HostCounts): HostCounts {
  return each((counter) => {
    const [was, is] = [earlier[counter], later[counter]];
    return was === undefined || is === undefined ? undefined : Math.max(0, is - was);
  });
}

/**
 * What the host has counted since it was started: of the network namespace of this thread, which is what `thread-self` is for
 * (proc(5)). `undefined` where there are no such files, as on other systems.
 */
export function readHostCounts(): HostCounts | undefined {
  const [snmp, snmp6] = ["snmp", "snmp6"].map((name) => readStart(`/proc/thread-self/net/${name}`));
  return snmp === undefined && snmp6 === undefined ? undefined : parseHostCounts(snmp ?? "", snmp6 ?? "");
}

/**
 * The counters in the text of /proc/net/snmp, which has a line of names and one of values for each protocol, and of
 * /proc/net/snmp6, which has a line for each counter.
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

/** The start of a file; `undefined` where it cannot be read. Files in /proc do not tell their size. */
function readStart(path: string): string | undefined {
  const bytes = Buffer.allocUnsafe(mostBytes);
  try {
    const file = openSync(path, "r");
    try {
      let length = 0;
      for (let more = 1; more > 0 && length < mostBytes; length += more) {
        more = readSync(file, bytes, length, mostBytes - length, null);
      }
      return bytes.toString("latin1", 0, length);
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}
