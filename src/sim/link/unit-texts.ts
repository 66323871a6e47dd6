/** Times, shares and rates of links as texts for people. */

/** Such as `50 ms` and `2 s`. */
export function formatDuration(ms: number): string {
  return ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`;
}

/** Such as `10%`. @param ratio 0 to 1. */
export function formatShare(ratio: number): string {
  return `${Number((ratio * 100).toPrecision(3))}%`;
}

/** Such as `500 kbit/s`. */
export function formatRate(rateBps: number): string {
  const [unit, size] =
    rateBps >= 1e9
      ? ["Gbit", 1e9]
      : rateBps >= 1e6
        ? ["Mbit", 1e6]
        : rateBps >= 1e3
          ? ["kbit", 1e3]
          : ["bit", 1];
  return `${rateBps / size} ${unit}/s`;
}
