/** Numbers, sizes and times as texts. */

const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const units = ["B", "kB", "MB", "GB", "TB"];

/** Such as `1,400`. */
export function count(value: number): string {
  return whole.format(value);
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

/** The time of day here: `14:02:07`. */
export function timeOfDay(milliseconds: number): string {
  const date = new Date(milliseconds);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((each) => pad(each, 2)).join(":");
}

/** The time of day of nanoseconds since 1970, with microseconds: `14:02:07.123456`. */
export function preciseTime(nanoseconds: string): string {
  const digits = nanoseconds.padStart(10, "0");
  const seconds = Number(digits.slice(0, -9));
  return `${timeOfDay(seconds * 1000)}.${digits.slice(-9, -3)}`;
}

/** The date and time of nanoseconds since 1970, in UTC: `2026-11-28T14:02:07.123456789Z`. */
export function isoTime(nanoseconds: string): string {
  const digits = nanoseconds.padStart(10, "0");
  const date = new Date(Number(digits.slice(0, -9)) * 1000);
  return `${date.toISOString().slice(0, 19)}.${digits.slice(-9)}Z`;
}

/** Such as `0.42 ms` or `1,200 ms`. */
export function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(2) : count(Math.round(value))} ms`;
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, "0");
}
