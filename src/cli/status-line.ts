/**
 * The status line: one line below the output of a command on a terminal, which is replaced as its numbers change. All commands
 * with such a line use this file, and everything that `terminal.ts` writes is written above the line.
 *
 * Writes to a terminal are synchronous (Node's documentation of `process`, "A note on process I/O"), so the line, standard output
 * and standard error keep their order.
 */

import assert from "node:assert";

import { columnsOf, cutText, printable } from "./payload.js";

/** Milliseconds between two versions of the line, and between two writes of output above it. */
const redrawMs = 100;
/** Bytes of output that are written at once, however short ago the last ones were written. */
const maxWaitingBytes = 64 * 1024;
/** Columns of the text `^C`, which a terminal shows at the cursor after Ctrl-C. */
const interruptColumns = 2;
const eraseToEnd = "\u001b[K";

/** Whether standard error is a terminal on which a line can be replaced. */
export const hasStatusLine: boolean = isTerminal(process.stderr) && process.env.TERM !== "dumb";

/** Whether standard output is a terminal, which may be the one with the line. */
const outputLive = isTerminal(process.stdout);
/** Whether a terminal that becomes narrower breaks its lines anew. xterm and the console of Linux cut them. */
const reflows = process.env.TERM !== "linux" && process.env.XTERM_VERSION === undefined;

/** The terminal, and the line that is shown on it. */
const terminal: { line?: StatusLine | undefined } = {};

/** Writes something above the status line, if there is one. */
export function writeAbove(write: () => void): void {
  if (terminal.line) terminal.line.writeAbove(write);
  else write();
}

/** Writes to standard output. Returns false if the writer must wait for the event `drain`. */
export function writeOutput(data: string | Uint8Array): boolean {
  return terminal.line && outputLive ? terminal.line.writeOutput(data) : process.stdout.write(data);
}

/** A line that is shown from the first interval after its construction until `end`. Without a terminal it does nothing. */
export class StatusLine {
  readonly #textFor: (columns: number) => string;
  readonly #timer: NodeJS.Timeout | undefined;
  /** Output that is written together. */
  #waiting: (string | Uint8Array)[] = [];
  #waitingBytes = 0;
  /** The text on the terminal; `""`: none. */
  #shown = "";
  #text = "";
  #writtenMs = -Infinity;

  /** @param textFor the text for a number of columns. A longer text is cut. */
  constructor(textFor: (columns: number) => string, intervalMs: number = redrawMs) {
    this.#textFor = textFor;
    if (!hasStatusLine) return;
    assert(!terminal.line, "another status line is shown");
    terminal.line = this;
    this.#timer = setInterval(() => this.#refresh(), intervalMs);
    process.stderr.on("resize", this.#onResize);
    process.on("exit", this.#onExit);
  }

  /** Writes the output that waits, and removes the line. */
  end(): void {
    if (terminal.line !== this) return;
    clearInterval(this.#timer);
    process.stderr.off("resize", this.#onResize);
    process.off("exit", this.#onExit);
    this.#erase();
    this.#flush();
    terminal.line = undefined;
  }

  /** As the function `writeAbove`. */
  writeAbove(write: () => void): void {
    this.#erase();
    this.#flush();
    write();
    this.#draw();
  }

  /** As the function `writeOutput`. Output soon after other output waits, so that the line is not drawn for each datagram. */
  writeOutput(data: string | Uint8Array): boolean {
    this.#waiting.push(data);
    this.#waitingBytes += data.length;
    if (this.#waitingBytes < maxWaitingBytes && performance.now() - this.#writtenMs < redrawMs) return true;
    this.#erase();
    const isAccepted = this.#flush();
    this.#draw();
    return isAccepted;
  }

  /** Shows a new version of the line, below the output that waited. */
  #refresh(): void {
    this.#text = printable(this.#textFor(columns()));
    if (this.#waitingBytes > 0) {
      this.#erase();
      this.#flush();
    }
    this.#draw();
  }

  #draw(): void {
    const text = cutText(this.#text, columns());
    if (text === this.#shown) return;
    process.stderr.write(`\r${text}${eraseToEnd}`);
    this.#shown = text;
    this.#writtenMs = performance.now();
  }

  #erase(): void {
    if (this.#shown !== "") process.stderr.write(`\r${eraseToEnd}`);
    this.#shown = "";
  }

  #flush(): boolean {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (waiting.length === 0) return true;
    this.#writtenMs = performance.now();
    return waiting.map((data) => process.stdout.write(data)).every(Boolean);
  }

  readonly #onResize = (): void => {
    // A line that became too long has several rows now, and the cursor is in the last one.
    const rows = reflows ? Math.ceil(columnsOf(this.#shown) / (process.stderr.columns || 80)) : 1;
    if (rows > 1) process.stderr.write(`\r\u001b[${rows - 1}A\u001b[J`);
    else this.#erase();
    this.#shown = "";
    this.#refresh();
  };

  readonly #onExit = (): void => this.end();
}

/** Columns for the line. The last one stays free, because a cursor after it would be on the next line. */
function columns(): number {
  // A terminal may not report its width.
  return Math.max(0, (process.stderr.columns || 80) - 1 - interruptColumns);
}

/** Whether a stream is a terminal. */
export function isTerminal(stream: NodeJS.WriteStream): boolean {
  // For a pipe or a file it is undefined, although the type says boolean.
  return (stream.isTTY as boolean | undefined) === true;
}
