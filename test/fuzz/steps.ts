/** The inputs of fuzz targets: datagrams with their sources and times, as lines of text that a person can read and change. */

/** A datagram of an input. */
export interface Step {
  /** The source of the datagram, 0 to 7. */
  readonly source: number;
  /** Milliseconds since the datagram before it. */
  readonly waitMs: number;
  readonly data: Uint8Array;
}

/** The number of sources. */
export const sources = 8;
/** The longest wait between two datagrams, in milliseconds. */
export const maxWaitMs = 65_535;

/** Writes an input: a line for each datagram, with its source, its wait and its bytes. */
export function formatSteps(steps: readonly Step[]): string {
  return steps
    .map(({ source, waitMs, data }) => `${source} ${waitMs} ${Buffer.from(data).toString("hex")}\n`)
    .join("");
}

/** Reads an input. Lines that start with `#` are comments. */
export function parseSteps(text: string): Step[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const match = /^([0-7]) (\d{1,5}) ((?:[0-9a-f]{2})*)$/.exec(line);
      if (!match) throw new Error(`not a line of an input: ${line.slice(0, 60)}`);
      return {
        source: Number(match[1]),
        waitMs: Number(match[2]),
        data: Buffer.from(match[3] as string, "hex"),
      };
    });
}
