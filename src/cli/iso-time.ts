const nsPerSecond = 1_000_000_000n;
/** The first second of the year 0 and the last one of the year 9999, from 1970. Other years have no four digits (RFC 3339). */
const [firstSecond, lastSecond] = [-62_167_219_200n, 253_402_300_799n];

/** Nanoseconds since 1970 in the format of RFC 3339; `undefined` if the year is not one of 0 to 9999. */
export function isoTime(ns: bigint): string | undefined {
  const fraction = ((ns % nsPerSecond) + nsPerSecond) % nsPerSecond;
  const seconds = (ns - fraction) / nsPerSecond;
  if (seconds < firstSecond || seconds > lastSecond) return undefined;
  const text = new Date(Number(seconds) * 1000).toISOString().slice(0, -".000Z".length);
  return `${text}.${String(fraction).padStart(9, "0")}Z`;
}

/** The time of a line: a dash if it is unknown or impossible. */
export function timeText(ns: bigint | undefined): string {
  return (ns === undefined ? undefined : isoTime(ns)) ?? "-";
}
