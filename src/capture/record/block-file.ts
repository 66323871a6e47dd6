import { closeSync, fstatSync, ftruncateSync, openSync, statSync, write, writeSync } from "node:fs";

import { OSError } from "../../core/errors/errors.js";

/** Calls `done` with the number of bytes that were written, or with an error. */
type Write = (
  fd: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
  position: number | null,
  done: (error: Error | null, written: number) => void,
) => void;

/** Writes during the call, for recordings in virtual time: the result does not depend on the disk. */
const writeAtOnce: Write = (fd, bytes, offset, length, position, done) => {
  let written;
  try {
    written = writeSync(fd, bytes, offset, length, position);
  } catch (error) {
    done(error as Error, 0);
    return;
  }
  done(null, written);
};

/**
 * A file that consists of whole blocks. Each write is of whole blocks. If the system writes only a part of them, the rest follows,
 * or the file is cut to the blocks that are whole.
 */
export class BlockFile {
  readonly path: string;
  readonly #fd: number;
  readonly #write: Write;
  /** Whether the file has offsets: pipes and devices have none. */
  readonly isRegular: boolean;
  /** Bytes of whole blocks. */
  #bytes = 0;

  /**
   * Opens the file.
   *
   * @param overwrite whether the file may exist. A pipe or a device may exist in any case.
   * @throws `OSError`.
   */
  constructor(path: string, overwrite: boolean, atOnce: boolean) {
    this.path = path;
    this.#write = atOnce ? writeAtOnce : write;
    this.#fd = open(path, overwrite);
    this.isRegular = fstatSync(this.#fd).isFile();
  }

  /** Bytes of the file. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the file was removed from its folder. */
  get isRemoved(): boolean {
    return this.isRegular && fstatSync(this.#fd).nlink === 0;
  }

  /** Appends blocks, and calls `done` once. After an error, nothing of these blocks is in the file. */
  append(blocks: Uint8Array, done: (error: OSError | undefined) => void): void {
    this.#append(blocks, 0, done);
  }

  /** Appends blocks during the call. @throws `OSError`. Then nothing of these blocks is in the file. */
  appendNow(blocks: Uint8Array): void {
    let failure: OSError | undefined;
    this.#append(blocks, 0, (error) => (failure = error), writeAtOnce);
    if (failure) throw failure;
  }

  /** @throws `OSError`, for example of a network file system that has written nothing so far. */
  close(): void {
    try {
      closeSync(this.#fd);
    } catch (error) {
      throw fileError(error, this.path, "close");
    }
  }

  #append(
    blocks: Uint8Array,
    from: number,
    done: (error: OSError | undefined) => void,
    writeSome: Write = this.#write,
  ): void {
    const position = this.isRegular ? this.#bytes + from : null;
    writeSome(this.#fd, blocks, from, blocks.length - from, position, (error, written) => {
      if (error || written === 0) {
        if (from > 0) this.#repair();
        done(fileError(error ?? new Error("nothing was written"), this.path, "write"));
      } else if (from + written < blocks.length) {
        this.#append(blocks, from + written, done, writeSome);
      } else {
        this.#bytes += blocks.length;
        done(undefined);
      }
    });
  }

  /** Cuts the file to its whole blocks. */
  #repair(): void {
    try {
      if (this.isRegular) ftruncateSync(this.#fd, this.#bytes);
    } catch {
      // The caller reports the failure of the write, which has the same reason.
    }
  }
}

/** Opens a file for writing. A pipe or a device is opened as it is. */
function open(path: string, overwrite: boolean): number {
  try {
    const replaces = overwrite || statSync(path, { throwIfNoEntry: false })?.isFile() === false;
    return openSync(path, replaces ? "w" : "wx");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw fileError(error, path, "open");
    const text = `${path} exists: choose another name, or allow it to be replaced`;
    throw new OSError("EEXIST", { syscall: "open", text, cause: error });
  }
}

/** An error of the file system as an error of this package, with the path. */
function fileError(cause: unknown, path: string, syscall: string): OSError {
  const { code = "EIO", message } = cause as NodeJS.ErrnoException;
  // Such as "ENOSPC: no space left on device, write".
  const reason = /^[A-Z0-9]+: ([^,]*)/.exec(message)?.[1] ?? message;
  return new OSError(code, { syscall, text: `${path}: ${reason}`, cause });
}
