import { open } from "node:fs/promises";

/** Bytes of a piece of memory. Datagrams are views of it, so one that is kept pins this much. */
const chunkBytes = 256 * 1024;

/** The bytes of a file or stream, of which a limited part is in memory. */
export class ByteWindow {
  /** A piece of memory. The unread bytes are those from `at` to `end`. */
  bytes: Uint8Array = new Uint8Array();
  /** A view of `bytes`. */
  view: DataView = new DataView(this.bytes.buffer);
  at = 0;
  end = 0;
  /** The offset in the file of the first byte of `bytes`. */
  #base = 0;
  #input: AsyncIterator<Uint8Array> | undefined;
  /** A piece of the input that did not fit. */
  #rest: Uint8Array | undefined;

  /** @param input its pieces are copied. */
  constructor(input: AsyncIterable<Uint8Array>) {
    this.#input = input[Symbol.asyncIterator]();
  }

  /** The offset in the file of the first unread byte. */
  get offset(): number {
    return this.#base + this.at;
  }

  /** The number of unread bytes in memory. */
  get available(): number {
    return this.end - this.at;
  }

  /** Reads until at least `bytes` unread bytes are in memory. Returns whether the input has so many. */
  async fill(bytes: number): Promise<boolean> {
    if (this.bytes.length - this.at < bytes) this.#move(Math.max(bytes, chunkBytes));
    while (this.available < bytes) {
      const piece = this.#rest ?? (await this.#next());
      if (piece === undefined) return false;
      const taken = piece.subarray(0, this.bytes.length - this.end);
      this.bytes.set(taken, this.end);
      this.end += taken.length;
      this.#rest = taken.length < piece.length ? piece.subarray(taken.length) : undefined;
    }
    return true;
  }

  /** Closes the input. */
  async close(): Promise<void> {
    const input = this.#input;
    this.#input = undefined;
    await input?.return?.();
  }

  /** Moves the unread bytes to new memory, because datagrams are views of the old. */
  #move(size: number): void {
    const unread = this.bytes.subarray(this.at, this.end);
    this.#base += this.at;
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
    this.bytes.set(unread);
    this.end = unread.length;
    this.at = 0;
  }

  async #next(): Promise<Uint8Array | undefined> {
    const step = await this.#input?.next();
    if (!step || step.done) {
      this.#input = undefined;
      return undefined;
    }
    return step.value;
  }
}

/** The bytes of a file in pieces. Each piece is read over the one before it. The file is closed at the end. */
export async function* fileBytes(path: string | URL): AsyncGenerator<Uint8Array, void> {
  const file = await open(path);
  try {
    const piece = new Uint8Array(chunkBytes);
    for (;;) {
      const { bytesRead } = await file.read(piece);
      if (bytesRead === 0) return;
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** The bytes of a whole file as one piece. */
// oxlint-disable-next-line typescript/require-await -- it has nothing to wait for
export async function* oneByteArray(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}
