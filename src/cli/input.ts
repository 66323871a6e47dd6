/** Payloads from the command line, from files and from standard input. */

import { Buffer } from "node:buffer";
import { createReadStream } from "node:fs";
import { type Readable, addAbortSignal } from "node:stream";

import type { Endpoint } from "../core/address/address.js";
import { AF_INET } from "../index.js";
import { Failure, exitCodes } from "./exit.js";
import { warn } from "./terminal.js";
import { hexBytes } from "./option-values.js";

/** Payload bytes above which a datagram may not fit one packet on every network of its path. */
const safeBytes = 1400;
/** The largest number of input bytes for one byte of payload: two hex digits with spaces around them. */
const bytesPerHexByte = 4;

/** The source of data: a file or a text. It is standard input if there is neither, or if the text is `-`. */
export interface Source {
  readonly file?: string | undefined;
  readonly text?: string | undefined;
  /** Whether the data is written in hex digits. */
  readonly hex: boolean;
}

/** Checks the size of payloads for their destinations. Warns once about a payload that may travel in fragments. */
class Sizes {
  readonly #family: string;
  readonly #limit: number;
  readonly #maxReadBytes: number;
  #warned = false;

  constructor(to: readonly Endpoint[], hex: boolean) {
    const overIPv4 = to.some(({ family }) => family === AF_INET);
    this.#family = overIPv4 ? "IPv4" : "IPv6";
    this.#limit = overIPv4 ? 65_507 : 65_527;
    this.#maxReadBytes = this.#limit * (hex ? bytesPerHexByte : 1);
  }

  /** @throws `Failure` if too many bytes were read for one datagram. */
  checkRead(bytes: number): void {
    if (bytes > this.#maxReadBytes) throw this.#tooLong(`at least ${bytes}`);
  }

  check(payload: Buffer): Buffer {
    const { length } = payload;
    if (length > this.#limit) throw this.#tooLong(String(length));
    if (length > safeBytes && !this.#warned) {
      this.#warned = true;
      warn(
        `${length} bytes are over ${safeBytes}: where they do not fit one packet of the path (its MTU) they travel as ` +
          "fragments, one lost fragment loses the datagram, and some networks drop fragments",
      );
    }
    return payload;
  }

  #tooLong(size: string): Failure {
    const text = `a message of ${size} bytes is over the limit of ${this.#limit} of a datagram over ${this.#family}`;
    return new Failure(exitCodes.error, text);
  }
}

/** Reads all data, as the payload of one datagram. */
export async function readPayload(source: Source, to: readonly Endpoint[]): Promise<Buffer> {
  const sizes = new Sizes(to, source.hex);
  if (isText(source)) return sizes.check(source.hex ? hexBytes(source.text) : Buffer.from(source.text));
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of open(source)) {
    bytes += chunk.length;
    sizes.checkRead(bytes);
    chunks.push(chunk);
  }
  return sizes.check(decode(Buffer.concat(chunks), source.hex));
}

/**
 * Reads the lines of the data, without their line ends. Each line is a payload. Lines that were read together are
 * yielded together, so that memory holds only one read.
 */
export async function* readLines(
  source: Source,
  to: readonly Endpoint[],
  signal: AbortSignal,
): AsyncGenerator<Buffer[], void> {
  const sizes = new Sizes(to, source.hex);
  const payload = (line: Buffer): Buffer => {
    const ended = line.at(-1) === 0x0d ? line.subarray(0, -1) : line;
    return sizes.check(decode(ended, source.hex));
  };
  let rest: Buffer = Buffer.alloc(0);
  let number = 1;
  for await (const chunk of addAbortSignal(signal, open(source)) as AsyncIterable<Buffer>) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    const lines: Buffer[] = [];
    let start = 0;
    try {
      for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
        lines.push(payload(bytes.subarray(start, end)));
        start = end + 1;
        number++;
      }
      rest = bytes.subarray(start);
      sizes.checkRead(rest.length);
    } catch (error) {
      yield lines;
      throw inLine(number, error);
    }
    yield lines;
  }
  if (rest.length === 0) return;
  try {
    yield [payload(rest)];
  } catch (error) {
    throw inLine(number, error);
  }
}

function isText(source: Source): source is Source & { text: string } {
  return source.file === undefined && source.text !== undefined && source.text !== "-";
}

function open({ file }: Source): Readable & AsyncIterable<Buffer> {
  return file === undefined || file === "-" ? process.stdin : createReadStream(file);
}

function decode(bytes: Buffer, hex: boolean): Buffer {
  return hex ? hexBytes(bytes.toString("latin1")) : bytes;
}

function inLine(number: number, error: unknown): unknown {
  return error instanceof Failure ? new Failure(error.exitCode, `line ${number}: ${error.message}`) : error;
}
