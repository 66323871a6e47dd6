/** What the command writes: the data that it was asked for on standard output, everything else on standard error. */

import { once } from "node:events";
import type { WriteStream } from "node:tty";

import { jsonLine, printable } from "./payload.js";

/** Escape sequences that begin and end a style. */
const styles = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], cyan: [36, 39] } as const;

/** Puts text in a style, where its stream is a terminal with colours: `NO_COLOR` is respected. */
export type Paint = (style: keyof typeof styles, text: string) => string;

export const onOutput: Paint = painter(process.stdout);
export const onNotices: Paint = painter(process.stderr);

/** Writes data and waits while its reader is slower than we are. @throws the signal's reason. */
export async function print(text: string, signal?: AbortSignal): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, "drain", { signal });
}

/** Writes a line for people. */
export function notice(text: string): void {
  live("");
  process.stderr.write(`${printable(text)}\n`);
}

/** Whether notices go to a terminal, where a line can be written over. */
export const noticesLive: boolean = isTerminal(process.stderr);

/** Columns of the live line, on a terminal. */
let liveColumns = 0;

/** On a terminal, writes a line in place of the one that the last call wrote; `""` takes it away. */
export function live(text: string): void {
  if (!noticesLive || (text === "" && liveColumns === 0)) return;
  // The last column stays free: a cursor behind it would be on the next line. A terminal may not tell its width.
  const line = printable(text).slice(0, (process.stderr.columns || 80) - 1);
  process.stderr.write(`\r${line.padEnd(liveColumns)}${text === "" ? "\r" : ""}`);
  liveColumns = line.length;
}

/** Writes an object for programs. */
export function noticeObject(value: object): void {
  process.stderr.write(jsonLine(value));
}

/** Writes a line about something that may go otherwise than was meant. */
export function warn(text: string): void {
  live("");
  process.stderr.write(`${onNotices("bold", "warning:")} ${printable(text)}\n`);
}

/**
 * A reader of ours that ends early, such as `head`, ends the command without a word; a full disk is an error.
 *
 * @param fail is told of any other failure to write.
 */
export function watchOutput(fail: (error: Error) => void): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    fail(error);
  });
  // Nobody is left to be told.
  process.stderr.on("error", () => undefined);
}

/** Aborts at the first Ctrl-C or SIGTERM; the second one kills, as it does without this. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  const abort = (): void => {
    process.off("SIGINT", abort).off("SIGTERM", abort);
    stop.abort();
  };
  process.on("SIGINT", abort).on("SIGTERM", abort);
  return stop.signal;
}

/** Whether an error is no failure but the wait that a `stopSignal` ended. */
export function wasStopped(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/** `1 datagram`, `2 datagrams`. */
export function count(many: number, noun: string): string {
  return `${many} ${noun}${many === 1 ? "" : "s"}`;
}

function painter(stream: WriteStream): Paint {
  // Of a pipe or a file `hasColors` is not there.
  const colours = isTerminal(stream) && stream.hasColors();
  return (style, text) => {
    const [begin, end] = styles[style];
    return colours ? `\u001b[${begin}m${text}\u001b[${end}m` : text;
  };
}

function isTerminal(stream: WriteStream): boolean {
  // Of a pipe or a file it is undefined, whatever the type says.
  return (stream.isTTY as boolean | undefined) === true;
}
