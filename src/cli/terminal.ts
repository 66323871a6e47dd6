/** Writes the requested data to standard output, and everything else to standard error. */

import { once } from "node:events";
import type { WriteStream } from "node:tty";

import { jsonLine, printable } from "./payload.js";
import { isTerminal, writeAbove, writeOutput } from "./status-line.js";

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

/** Writes data, and waits if its reader is slow. Without a reader it does nothing. @throws the signal's reason. */
export async function print(data: string | Uint8Array, signal?: AbortSignal): Promise<void> {
  if (hasNoReader || writeOutput(data)) return;
  try {
    await once(process.stdout, "drain", { signal });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPIPE") throw error;
  }
}

/** Writes a line for people. */
export function notice(text: string): void {
  writeNotices(`${printable(text)}\n`);
}

/** Writes text for people that is safe on a terminal already. */
export function writeNotices(text: string): void {
  writeAbove(() => process.stderr.write(text));
}

/** Columns for a line of notices that is not broken; `Infinity` if they go to no terminal. */
export function noticeColumns(): number {
  return isTerminal(process.stderr) ? (process.stderr.columns || 80) - 1 : Infinity;
}

/** Writes an object for programs. */
export function noticeObject(value: object): void {
  writeNotices(jsonLine(value));
}

/** Writes a warning. */
export function warn(text: string): void {
  writeNotices(`${onNotices("bold", "warning:")} ${printable(text)}\n`);
}

/**
 * Handles failures to write. If the reader ends early, such as `head`, the command ends silently, unless it holds what it must
 * not lose: then it stops as at Ctrl-C.
 *
 * @param fail is called for any other failure, such as a full disk.
 */
export function watchOutput(fail: (error: Error) => void): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") {
      fail(error);
      return;
    }
    hasNoReader = true;
    if (!stopsAtEndOfReader) process.exit(0);
    stopsAtEndOfReader();
  });
  // The failure cannot be reported anywhere.
  process.stderr.on("error", () => undefined);
}

/** Whether the reader of standard output has ended. */
let hasNoReader = false;

/** What ends the command in place of the end of the process if the reader of standard output ends. */
let stopsAtEndOfReader: (() => void) | undefined;

/** What is cleaned up if a second Ctrl-C or SIGTERM ends the process. */
const cleanups = new Set<() => void>();
let isStopping = false;

/**
 * Aborts at the first Ctrl-C or SIGTERM. The second one ends the process as usual.
 *
 * @param holds whether the command holds what it must not lose, so that it aborts too if the reader of standard output ends.
 */
export function stopSignal(holds = false): AbortSignal {
  const stop = new AbortController();
  const abort = (): void => {
    isStopping = true;
    // First: a signal that comes while nothing listens would end the process without the cleanup.
    awaitSecondSignal();
    process.off("SIGINT", abort).off("SIGTERM", abort);
    stop.abort();
  };
  process.on("SIGINT", abort).on("SIGTERM", abort);
  if (holds) stopsAtEndOfReader = abort;
  return stop.signal;
}

/** Cleans up if a second Ctrl-C or SIGTERM ends the process before the returned function is called. */
export function cleanUpIfKilled(cleanUp: () => void): () => void {
  cleanups.add(cleanUp);
  awaitSecondSignal();
  return () => {
    cleanups.delete(cleanUp);
    awaitSecondSignal();
  };
}

/** Listens to the second signal only if there is something to clean up. So it ends a process that hangs. */
function awaitSecondSignal(): void {
  const isNeeded = isStopping && cleanups.size > 0;
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    if (!isNeeded) process.off(name, endByKill);
    else if (!process.listeners(name).includes(endByKill)) process.on(name, endByKill);
  }
}

function endByKill(signal: NodeJS.Signals): void {
  for (const cleanUp of cleanups) cleanUp();
  cleanups.clear();
  awaitSecondSignal();
  process.kill(process.pid, signal);
}

/** Whether an error is the abort of a `stopSignal`. */
export function wasStopped(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

function painter(stream: WriteStream): Paint {
  // A pipe or a file has no `hasColors`.
  const colours = isTerminal(stream) && stream.hasColors();
  return (style, text) => {
    const [begin, end] = styles[style];
    return colours ? `\u001b[${begin}m${text}\u001b[${end}m` : text;
  };
}
