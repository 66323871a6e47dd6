import { format, parse } from "node:path";

/**
 * The path of a file of a recording with several files, as dumpcap names them: the number from 1 with at least five digits,
 * and the time when the file started in UTC.
 *
 * @param startedMs milliseconds since 1970.
 */
export function numberedPath(path: string, number: number, startedMs: number): string {
  const { dir, name, ext } = parse(path);
  const time = new Date(startedMs).toISOString().replace(/\D/g, "").slice(0, 14);
  return format({ dir, name: `${name}_${String(number).padStart(5, "0")}_${time}`, ext });
}
