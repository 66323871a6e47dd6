/** The counts of a relay as text: on one line, and for each direction. */

import { count } from "../core/ledger/count-text.js";
import type { DirectionStats, RelayStats } from "../proxy/index.js";

/** The counts besides received and delivered, their texts, and whether such a datagram was not delivered. */
const outcomes: readonly (readonly [
  field: keyof DirectionStats & keyof Plain,
  text: string,
  isLoss: boolean,
])[] = [
  ["dropped", "dropped by rules", true],
  ["delayed", "delayed by rules", false],
  ["lost", "lost", true],
  ["queueFull", "queue full", true],
  ["tooBig", "too big", true],
  ["duplicated", "twice", false],
  ["reordered", "reordered", false],
  ["corrupted", "corrupted", false],
  ["overflowed", "over the limit of datagrams in flight", true],
  ["copied", "copied to other targets", false],
  ["ignored", "from other targets", true],
  ["refused", "of clients that were refused", true],
  ["looped", "that the proxy itself had sent", true],
  ["unsent", "not sent", true],
  ["overrun", "or more that came too fast to be read", true],
];

/** The fields of a direction that are plain numbers. */
type Plain = {
  [Field in keyof DirectionStats as DirectionStats[Field] extends number | undefined ? Field : never]: number;
};

/** All counts on one line of any length. */
export function statusText({ up, down, clients }: RelayStats): string {
  return `${count(clients.now, "client")} | up ${directionText(up)} | down ${directionText(down)}`;
}

/**
 * The counts on one line of at most `columns` columns, if there are 77 or more. If the whole text is too long, every datagram
 * that was not delivered counts as lost, and after that large numbers are shortened.
 */
export function statusLine(stats: RelayStats, columns: number): string {
  const { up, down, clients } = stats;
  const numbers = [
    clients.now,
    ...[up, down].flatMap((each) => [each.received.datagrams, each.delivered.datagrams, lossesOf(each)]),
  ];
  const texts = [statusText(stats), shortLine(numbers.map(String)), shortLine(numbers.map(shortNumber))];
  return texts.find((text) => text.length <= columns) ?? texts.at(-1) ?? "";
}

/** Such as `1000 in, 903 out, 97 lost`. */
export function directionText(stats: DirectionStats): string {
  const { received, delivered, unreachable } = stats;
  const others = outcomes
    .filter(([field]) => (stats[field] ?? 0) > 0)
    .map(([field, name]) => `${stats[field]} ${name}`);
  const reports = Object.values(unreachable).reduce((sum, times) => sum + times, 0);
  if (reports > 0) others.push(`${reports} or more unreachable`);
  return [`${received.datagrams} in`, `${delivered.datagrams} out`, ...others].join(", ");
}

function shortLine([clients, upIn, upOut, upLost, downIn, downOut, downLost]: readonly string[]): string {
  const noun = clients === "1" ? "client" : "clients";
  return `${clients} ${noun} | up ${upIn} in ${upOut} out ${upLost} lost | down ${downIn} in ${downOut} out ${downLost} lost`;
}

/** The number of datagrams that were not delivered. */
function lossesOf(stats: DirectionStats): number {
  return outcomes.reduce((sum, [field, , isLoss]) => sum + (isLoss ? (stats[field] ?? 0) : 0), 0);
}

/** At most four characters: `999`, `1.2k`, `34M`. */
function shortNumber(value: number): string {
  const steps = Math.min(4, Math.floor(Math.log10(Math.max(value, 1)) / 3));
  const scaled = value / 1000 ** steps;
  const digits = steps > 0 && scaled < 9.95 ? scaled.toFixed(1) : String(Math.floor(scaled));
  return `${digits}${["", "k", "M", "G", "T"][steps] ?? ""}`;
}
