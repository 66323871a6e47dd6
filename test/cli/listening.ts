/** What `datagram listen` prints, for its tests. */

import type { Listener } from "./program.js";

/** What `listen` prints for a datagram: time, source, size, payload. */
export const shape = /^\d\d:\d\d:\d\d\.\d{3} (127\.0\.0\.1:\d+) (.*? bytes?) (.*)$/;

/** The next line that contains `part`. */
export async function lineWith(
  listener: Pick<Listener, "line">,
  part: string,
  stream: "stdout" | "stderr" = "stderr",
): Promise<string> {
  for (;;) {
    const line = await listener.line(stream);
    if (line.includes(part)) return line;
  }
}

/** The JSON objects of an output. */
export function objects(output: string): Record<string, unknown>[] {
  return output
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
