/** Payloads from the command line, from files and from standard input. */

import { Buffer } from "node:buffer";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { type Readable, addAbortSignal } from "node:stream";

import { type Command, Option } from "commander";

import type { Endpoint } from "../core/address/address.js";
import { AF_INET } from "../index.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { asSystemFailure } from "./system-errors.js";
import { warn } from "./terminal.js";
import { byteSize, hexBytes } from "./option-values.js";

/** Payload bytes above which a datagram may not fit one packet on every network of its path. */
const safeBytes = 1400;
/** The largest number of input bytes for one byte of payload: two hex digits with spaces around them. */
const bytesPerHexByte = 4;

/** The data of `--size`, repeated until it is long enough. */
const sampleText = "0123456789";

/** The source of data: a file, a text, or an option. Without any, or if the text or the file is `-`, it is standard input. */
export interface Source extends GeneratedData {
  readonly file?: string | undefined;
  readonly text?: string | undefined;
  /** Whether the data is written in hex digits. */
  readonly hex: boolean;
}

/** The options for data that is neither an argument nor read. */
export interface GeneratedData {
  readonly empty?: boolean | undefined;
  /** The number of bytes of sample data. */
  readonly size?: number | undefined;
}

/** Adds the options for generated data to a command. */
export function addGeneratedData(command: Command, conflicts: string[]): Command {
  return command
    .addOption(new Option("--empty", "send an empty datagram").conflicts([...conflicts, "size"]))
    .addOption(
      new Option("--size <bytes>", "send this many bytes of sample data, such as 1400 or 32k")
        .argParser(byteSize("--size"))
        .conflicts(conflicts),
    );
}

/** The option of a command that makes its data, instead of an argument. */
export function generatedBy({ empty, size }: GeneratedData): "--empty" | "--size" | undefined {
  return empty ? "--empty" : size === undefined ? undefined : "--size";
}

/** The check of the size of data that is read. */
interface SizeCheck {
  /** @throws `Failure` if too many bytes were read. */
  checkRead(bytes: number): void;
  /** @throws `Failure` if the data has too many bytes. */
  checkLength(length: number): void;
}

/** Checks the size of payloads for their destinations. Warns once about a payload that may travel in fragments. */
class Sizes implements SizeCheck {
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

  checkRead(bytes: number): void {
    if (bytes > this.#maxReadBytes) throw this.#tooLong(`at least ${bytes}`);
  }

  check(payload: Buffer): Buffer {
    this.checkLength(payload.length);
    return payload;
  }

  checkLength(length: number): void {
    if (length > this.#limit) throw this.#tooLong(String(length));
    if (length > safeBytes && !this.#warned) {
      this.#warned = true;
      warn(
        `${length} bytes are over ${safeBytes}: where they do not fit one packet of the path (its MTU) they travel as ` +
          "fragments, one lost fragment loses the datagram, and some networks drop fragments",
      );
    }
  }

  #tooLong(size: string): Failure {
    const text = `a message of ${size} bytes is over the limit of ${this.#limit} of a datagram over ${this.#family}: --message sends longer ones`;
    return new Failure(exitCodes.error, text);
  }
}

/** Reads all data, as the payload of one datagram. @throws `Failure` if standard input has none. */
export function readPayload(source: Source, to: readonly Endpoint[]): Promise<Buffer> {
  return readAll(source, new Sizes(to, source.hex));
}

/** Reads all data, as one message of at most `maxBytes`. @throws `Failure` if standard input has none. */
export function readMessage(source: Source, maxBytes: number): Promise<Buffer> {
  const checkLength = (length: number): void => {
    if (length <= maxBytes) return;
    throw new Failure(
      exitCodes.error,
      `the data is longer than the ${maxBytes} bytes of the longest message`,
    );
  };
  const checkRead = (bytes: number): void => checkLength(source.hex ? bytes / bytesPerHexByte : bytes);
  return readAll(source, { checkRead, checkLength });
}

async function readAll(source: Source, sizes: SizeCheck): Promise<Buffer> {
  const checked = (data: Buffer): Buffer => {
    sizes.checkLength(data.length);
    return data;
  };
  if (source.empty) return Buffer.alloc(0);
  if (source.size !== undefined) {
    sizes.checkLength(source.size);
    return Buffer.alloc(source.size, sampleText);
  }
  if (isText(source)) return checked(source.hex ? hexBytes(source.text) : Buffer.from(source.text));
  if (!source.hex) await checkFile(source, sizes);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunksOf(source)) {
    bytes += chunk.length;
    sizes.checkRead(bytes);
    chunks.push(chunk);
  }
  const payload = decode(Buffer.concat(chunks), source.hex);
  if (payload.length === 0 && isStandardInput(source))
    throw usage("no data: standard input is empty; --empty sends an empty datagram");
  return checked(payload);
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
  for await (const chunk of chunksOf(source, signal)) {
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

function isStandardInput({ file }: Source): boolean {
  return file === undefined || file === "-";
}

/** Reads a file or standard input. @throws `Failure` that names it, or the signal's reason. */
async function* chunksOf(source: Source, signal?: AbortSignal): AsyncGenerator<Buffer, void> {
  const { file = "-" } = source;
  const stream: Readable = isStandardInput(source) ? process.stdin : createReadStream(file);
  if (signal) addAbortSignal(signal, stream);
  try {
    yield* stream as AsyncIterable<Buffer>;
  } catch (error) {
    throw asSystemFailure(error, `read ${isStandardInput(source) ? "standard input" : JSON.stringify(file)}`);
  }
}

/** Checks the size of a regular file before it is read. Others, such as pipes, tell no size. */
async function checkFile(source: Source, sizes: SizeCheck): Promise<void> {
  const { file = "-" } = source;
  if (isStandardInput(source)) return;
  try {
    const found = await stat(file);
    if (found.isFile()) sizes.checkLength(found.size);
  } catch (error) {
    throw asSystemFailure(error, `read ${JSON.stringify(file)}`);
  }
}

function decode(bytes: Buffer, hex: boolean): Buffer {
  return hex ? hexBytes(bytes.toString("latin1")) : bytes;
}

function inLine(number: number, error: unknown): unknown {
  return error instanceof Failure ? new Failure(error.exitCode, `line ${number}: ${error.message}`) : error;
}
