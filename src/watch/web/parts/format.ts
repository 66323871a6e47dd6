/** Numbers, sizes and times as texts. */

const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const units = ["B", "kB", "MB", "GB", "TB"];

/** Such as `1,400`. */
export function count(value: number): string {
  return whole.format(value);
}

/** Such as `1 datagram` or `1,400 datagrams`. */
export function datagrams(value: number): string {
  return `${count(value)} datagram${value === 1 ? "" : "s"}`;
}

/** Such as `12.3 kB`: decimal units. */
export function bytes(value: number): string {
  let unit = 0;
  let scaled = value;
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${compact.format(scaled)} ${units[unit] ?? "B"}`;
}

/** Such as `250/s` or `0.2/s`. */
export function rate(value: number): string {
  return `${value >= 10 || value === 0 ? count(Math.round(value)) : value.toFixed(1)}/s`;
}

/** How long ago: `now`, `12 s`, `3 min`, `2 h`, `5 d`. */
export function age(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 1) return "now";
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** The time of day here: `14:02:07`; `–` for a time that no `Date` can have, which a file may claim. */
export function timeOfDay(milliseconds: number): string {
  const date = new Date(milliseconds);
  if (Number.isNaN(date.getTime())) return "–";
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((each) => pad(each, 2)).join(":");
}

/** The time of day of nanoseconds since 1970, with microseconds: `14:02:07.123456`. */
export function preciseTime(nanoseconds: string): string {
  const [seconds, fraction] = secondsOf(nanoseconds);
  return `${timeOfDay(seconds * 1000)}.${fraction.slice(0, 6)}`;
}

/** The date and time of nanoseconds since 1970, in UTC: `2026-11-28T14:02:07.123456789Z`. */
export function isoTime(nanoseconds: string): string {
  const [seconds, fraction] = secondsOf(nanoseconds);
  const date = isoDate(seconds * 1000);
  return date === undefined ? `${seconds}.${fraction} s since 1970` : `${date.slice(0, -5)}.${fraction}Z`;
}

/** The date and time of milliseconds since 1970, as `<time>` takes it; `undefined` for a time that no `Date` can have. */
export function isoDate(milliseconds: number): string | undefined {
  const date = new Date(milliseconds);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}

/** Such as `0.42 ms` or `1,200 ms`. */
export function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(2) : count(Math.round(value))} ms`;
}

/** The whole seconds, and nine digits after them. */
function secondsOf(nanoseconds: string): readonly [seconds: number, fraction: string] {
  const value = BigInt(nanoseconds);
  const fraction = ((value % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return [Number((value - fraction) / 1_000_000_000n), String(fraction).padStart(9, "0")];
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, "0");
}
