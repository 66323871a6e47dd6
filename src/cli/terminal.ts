/** Writes the requested data to standard output, and everything else to standard error. */

import { once } from "node:events";
import type { WriteStream } from "node:tty";

import { jsonLine, printable } from "./payload.js";

/** Codes of the escape sequences that begin and end a style. */
const styles = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], cyan: [36, 39] } as const;

/** Puts text in a style, if its stream is a terminal with colours and `NO_COLOR` is not set. */
export type Paint = (style: keyof typeof styles, text: string) => string;

export const onOutput: Paint = painter(process.stdout);
export const onNotices: Paint = painter(process.stderr);

/** Whether data goes to a terminal. */
export const outputLive: boolean = isTerminal(process.stdout);

/** Columns for one line of data. The last column of a terminal stays free: some terminals would begin a new line. */
export function outputColumns(): number {
  // A terminal may not report its width.
  return outputLive ? (process.stdout.columns || 80) - 1 : Infinity;
}

/** Writes data, and waits if its reader is slow. @throws the signal's reason. */
export async function print(data: string | Uint8Array, signal?: AbortSignal): Promise<void> {
  if (!process.stdout.write(data)) await once(process.stdout, "drain", { signal });
}

/** Writes a line for people. */
export function notice(text: string): void {
  live("");
  process.stderr.write(`${printable(text)}\n`);
}

/** Whether notices go to a terminal, on which a line can be replaced. */
export const noticesLive: boolean = isTerminal(process.stderr);

/** Columns of the text `^C`, which a terminal shows at the cursor after Ctrl-C. */
const interruptColumns = 2;
/** The column of the cursor after the live line, on a terminal. */
let cursorColumn = 0;

/** Columns for a live line. The last column stays free: a cursor after it would be on the next line. */
export function liveColumns(): number {
  return (process.stderr.columns || 80) - 1 - interruptColumns;
}

/** On a terminal, replaces the line of the last call. `""` removes the line, and a `^C` after it. */
export function live(text: string): void {
  if (!noticesLive || (text === "" && cursorColumn === 0)) return;
  if (text === "") {
    process.stderr.write(`\r${" ".repeat(cursorColumn + interruptColumns)}\r`);
    cursorColumn = 0;
    return;
  }
  const line = printable(text).slice(0, liveColumns()).padEnd(cursorColumn);
  process.stderr.write(`\r${line}`);
  cursorColumn = line.length;
}

/** Writes an object for programs. */
export function noticeObject(value: object): void {
  process.stderr.write(jsonLine(value));
}

/** Writes a warning. */
export function warn(text: string): void {
  live("");
  process.stderr.write(`${onNotices("bold", "warning:")} ${printable(text)}\n`);
}

/**
 * Handles failures to write. If the reader ends early, such as `head`, the command ends silently.
 *
 * @param fail is called for any other failure, such as a full disk.
 */
export function watchOutput(fail: (error: Error) => void): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    fail(error);
  });
  // The failure cannot be reported anywhere.
  process.stderr.on("error", () => undefined);
}

/** Aborts at the first Ctrl-C or SIGTERM. The second one ends the process as usual. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  const abort = (): void => {
    process.off("SIGINT", abort).off("SIGTERM", abort);
    stop.abort();
  };
  process.on("SIGINT", abort).on("SIGTERM", abort);
  return stop.signal;
}

/** Whether an error is the abort of a `stopSignal`. */
export function wasStopped(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/** `1 datagram`, `2 datagrams`. */
export function count(many: number, noun: string): string {
  return `${many} ${noun}${many === 1 ? "" : "s"}`;
}

function painter(stream: WriteStream): Paint {
  // A pipe or a file has no `hasColors`.
  const colours = isTerminal(stream) && stream.hasColors();
  return (style, text) => {
    const [begin, end] = styles[style];
    return colours ? `\u001b[${begin}m${text}\u001b[${end}m` : text;
  };
}

function isTerminal(stream: WriteStream): boolean {
  // For a pipe or a file it is undefined, although the type says boolean.
  return (stream.isTTY as boolean | undefined) === true;
}
