import { wholeNumber, wrongType } from "../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../core/errors/fields.js";
import { Steps } from "../core/receive/steps.js";
import { ByteWindow, fileBytes, oneByteArray } from "./byte-window.js";
import { CaptureError } from "./capture-error.js";
import type { CapturedDatagram, CapturedUnreachable, ReadStats } from "./captured-datagram.js";
import { DatagramDecoder } from "./datagram-decoder.js";
import type { PacketReader } from "./link-packet.js";
import { packetReader } from "./packet-reader.js";

/** A capture file: its path, its URL, all its bytes, or its bytes in pieces, such as a readable stream. */
export type CaptureInput = string | URL | Uint8Array | AsyncIterable<Uint8Array>;

/** How a file is read. */
export interface ReadOptions {
  /**
   * Bytes of the longest packet of the recorded network, with its IP header: 68 to 65,575. A longer packet that is no fragment
   * is probably several datagrams.
   *
   * @default 1500
   */
  readonly mtu?: number | undefined;
  /** Is called for each ICMP error about a UDP datagram, in the order of the file. */
  readonly onUnreachable?: ((error: CapturedUnreachable) => void) | undefined;
}

/**
 * The datagrams of a file, for one `for await`. (`AsyncIterableIterator` has one type parameter before TypeScript 5.6.)
 */
export interface Reading extends AsyncIterator<CapturedDatagram, undefined> {
  /** Returns this reading. */
  [Symbol.asyncIterator](): this;
  /** Returns counts of what was read so far. */
  stats(): ReadStats;
  /** Ends the iteration and closes the file. A `break` in a `for await` calls it. */
  return(): Promise<IteratorResult<CapturedDatagram, undefined>>;
}

const fields = fieldsOf<ReadOptions>({ mtu: true, onUnreachable: true });
const end: IteratorResult<CapturedDatagram, undefined> = { done: true, value: undefined };

/**
 * Reads the UDP datagrams of a capture file: pcap or pcapng, of any byte order. A file that is cut or damaged yields all
 * datagrams before that place, and then fails. Memory does not depend on the length of the file.
 *
 * @throws `TypeError` and `RangeError` for wrong arguments. The iteration fails with `CaptureError`: `ENODATA` if the file ends
 *   in the middle of a packet, `EBADMSG` if it has an impossible number, `EPROTONOSUPPORT` if its format is unknown; with the
 *   errors of `node:fs`, such as `ENOENT`; and with the errors of the stream.
 */
export function read(file: CaptureInput, options: ReadOptions = {}): Reading {
  refuseUnknown(options, fields, "options: a field");
  const { mtu = 1500, onUnreachable } = options;
  wholeNumber("options.mtu", mtu, 68, 65_575);
  if (onUnreachable !== undefined && typeof onUnreachable !== "function")
    throw wrongType("options.onUnreachable", "a function", onUnreachable);
  return new FileReading(new ByteWindow(bytesOf(file)), new DatagramDecoder(mtu, onUnreachable));
}

class FileReading implements Reading {
  readonly #window: ByteWindow;
  readonly #decoder: DatagramDecoder;
  #packets: PacketReader | undefined;
  readonly #steps = new Steps();
  #isOver = false;

  constructor(window: ByteWindow, decoder: DatagramDecoder) {
    this.#window = window;
    this.#decoder = decoder;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<CapturedDatagram, undefined>> {
    if (!this.#steps.isBusy && this.#packets && !this.#isOver) {
      try {
        const value = this.#decodeNext(this.#packets);
        if (value) return Promise.resolve({ done: false, value });
      } catch (error) {
        return this.#steps.run(() => this.#fail(error));
      }
    }
    return this.#steps.run(() => this.#readNext());
  }

  return(): Promise<IteratorResult<CapturedDatagram, undefined>> {
    return this.#steps.run(async () => {
      this.#isOver = true;
      await this.#window.close();
      return end;
    });
  }

  stats(): ReadStats {
    const { counts, incomplete } = this.#decoder;
    const skipped = Object.freeze({ ...counts.skipped });
    return Object.freeze({ ...counts, skipped, incomplete, lost: this.#packets?.lost });
  }

  async #readNext(): Promise<IteratorResult<CapturedDatagram, undefined>> {
    if (this.#isOver) return end;
    try {
      this.#packets ??= await packetReader(this.#window);
      for (;;) {
        const value = this.#decodeNext(this.#packets);
        if (value) return { done: false, value };
        if (!(await this.#window.fill(this.#packets.needed))) break;
      }
    } catch (error) {
      return await this.#fail(error);
    }
    const offset = this.#packets.cutAt();
    if (offset !== undefined)
      return await this.#fail(
        new CaptureError("ENODATA", { offset, text: "the file ends in the middle of a packet" }),
      );
    this.#isOver = true;
    await this.#window.close();
    return end;
  }

  /** Returns the next datagram of the bytes in memory; `undefined` if more bytes are needed. */
  #decodeNext(packets: PacketReader): CapturedDatagram | undefined {
    for (;;) {
      const packet = packets.next();
      if (!packet) return undefined;
      const datagram = this.#decoder.decode(packet);
      if (datagram) return datagram;
    }
  }

  /** Ends the iteration with an error. */
  async #fail(error: unknown): Promise<never> {
    this.#isOver = true;
    await this.#window.close();
    throw error;
  }
}

function bytesOf(file: CaptureInput | null): AsyncIterable<Uint8Array> {
  if (typeof file === "string" || file instanceof URL) return fileBytes(file);
  if (file instanceof Uint8Array) return oneByteArray(file);
  if (typeof file === "object" && file !== null && Symbol.asyncIterator in file) return file;
  throw wrongType("file", "a path, a URL, bytes or a stream of bytes", file);
}
