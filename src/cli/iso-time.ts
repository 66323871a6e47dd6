/** Nanoseconds since the epoch in the format of RFC 3339. */
export function isoTime(ns: bigint): string {
  const seconds = new Date(Number(ns / 1_000_000_000n) * 1000).toISOString().slice(0, -".000Z".length);
  return `${seconds}.${String(ns % 1_000_000_000n).padStart(9, "0")}Z`;
}
