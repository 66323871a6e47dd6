import {
  accessSync,
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  realpathSync,
  statSync,
  unlinkSync,
  write,
  writeSync,
} from "node:fs";

import type { Clock } from "../../core/driver/driver.js";
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

/** How long a full pipe is left alone, in milliseconds. */
const fullMs = 5;
/** How long a write during a call waits for a full pipe, in milliseconds. */
const maxFullMs = 1000;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Writes during the call, for recordings in virtual time, whose result does not depend on the disk, and when the process ends. */
const writeAtOnce: Write = (fd, bytes, offset, length, position, done) => {
  for (let waitedMs = 0; ; waitedMs += fullMs) {
    let written;
    try {
      written = writeSync(fd, bytes, offset, length, position);
    } catch (error) {
      if (isFull(error) && waitedMs < maxFullMs) {
        Atomics.wait(sleeper, 0, 0, fullMs);
        continue;
      }
      done(error as Error, 0);
      return;
    }
    done(null, written);
    return;
  }
};

/** The rest of a write that waits until a pipe has room. */
interface WaitingWrite {
  readonly write: (writeSome: Write) => void;
  readonly cancel: () => void;
}

/**
 * A file that consists of whole blocks. Each write is of whole blocks. If the system writes only a part of them, the rest follows,
 * or the file is cut to the blocks that are whole.
 */
export class BlockFile {
  /** The path, or that of the descriptor. */
  readonly path: string;
  readonly #fd: number;
  readonly #write: Write;
  readonly #clock: Clock;
  /** Whether the file was opened here, and not by the program. */
  readonly #isOwn: boolean;
  readonly #isRegular: boolean;
  /** Bytes of a regular file before the recording. */
  readonly #startBytes: number;
  /** Where the next blocks are written; `null` is where the descriptor is: the end of what was written. */
  #position: number | null;
  /** Bytes of whole blocks. */
  #bytes = 0;
  #waiting: WaitingWrite | undefined;

  /**
   * Opens the file.
   *
   * @param file a path, or a descriptor that the program opened for writing, which stays open.
   * @param overwrite whether the file may exist. A pipe or a device may exist in any case.
   * @throws `OSError`.
   */
  constructor(file: string | number, overwrite: boolean, clock: Clock, atOnce: boolean) {
    this.path = typeof file === "string" ? file : `/dev/fd/${file}`;
    this.#clock = clock;
    this.#write = atOnce ? writeAtOnce : write;
    this.#isOwn = typeof file === "string";
    this.#fd = typeof file === "string" ? open(file, overwrite) : file;
    let stats;
    try {
      stats = fstatSync(this.#fd);
    } catch (error) {
      throw fileError(error, this.path, "open");
    }
    this.#isRegular = stats.isFile();
    this.#startBytes = this.#isRegular ? stats.size : 0;
    // Other programs may have written to a descriptor before, and may append to it later.
    this.#position = this.#isOwn && this.#isRegular ? 0 : null;
  }

  /** Bytes that were written. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the file was removed from its folder. */
  get isRemoved(): boolean {
    return this.#isOwn && this.#isRegular && fstatSync(this.#fd).nlink === 0;
  }

  /** Whether the same blocks may be written twice, because they are written to the same place. */
  get hasPositions(): boolean {
    return this.#position !== null;
  }

  /** Appends blocks, and calls `done` once. After an error, nothing of these blocks is in the file. */
  append(blocks: Uint8Array, done: (error: OSError | undefined) => void): void {
    this.#append(blocks, 0, done);
  }

  /**
   * Appends blocks, waits until the disk has them (`fdatasync`), and calls `done` once. After an error, nothing of these blocks is in
   * the file, as far as the disk lets itself be written.
   */
  appendToDisk(blocks: Uint8Array, done: (error: OSError | undefined) => void): void {
    this.append(blocks, (error) => {
      if (error) {
        done(error);
        return;
      }
      fdatasync(this.#fd, (failure) => {
        if (failure) {
          this.#bytes -= blocks.length;
          this.#repair(blocks.length);
        }
        done(failure ? fileError(failure, this.path, "fdatasync") : undefined);
      });
    });
  }

  /** Appends blocks during the call. @throws `OSError`. Then nothing of these blocks is in the file. */
  appendNow(blocks: Uint8Array): void {
    let failure: OSError | undefined;
    this.#append(blocks, 0, (error) => (failure = error), writeAtOnce);
    if (failure) throw failure;
  }

  /** Writes during the call what waits for a full pipe. @returns whether something waited. */
  writeWaiting(): boolean {
    const waiting = this.#waiting;
    waiting?.cancel();
    waiting?.write(writeAtOnce);
    return waiting !== undefined;
  }

  /** @throws `OSError`, for example of a network file system that has written nothing so far. */
  close(): void {
    if (!this.#isOwn) return;
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
    const position = this.#position === null ? null : this.#position + from;
    writeSome(this.#fd, blocks, from, blocks.length - from, position, (error, written) => {
      if (isFull(error) && writeSome !== writeAtOnce) {
        this.#wait((again = writeSome) => this.#append(blocks, from, done, again));
      } else if (error || written === 0) {
        if (from > 0) this.#repair(from);
        done(fileError(error ?? new Error("nothing was written"), this.path, "write"));
      } else if (from + written < blocks.length) {
        this.#append(blocks, from + written, done, writeSome);
      } else {
        this.#bytes += blocks.length;
        if (this.#position !== null) this.#position += blocks.length;
        done(undefined);
      }
    });
  }

  /** Calls `run` when a full pipe may have room. */
  #wait(run: (writeSome?: Write) => void): void {
    const release = this.#clock.keepAlive?.();
    const stop = (): void => {
      this.#waiting = undefined;
      release?.();
    };
    const cancelTimer = this.#clock.after(fullMs, () => {
      stop();
      run();
    });
    const cancel = (): void => {
      cancelTimer();
      stop();
    };
    this.#waiting = { write: run, cancel };
  }

  /** Cuts the file to its whole blocks. @param begun bytes after them. */
  #repair(begun: number): void {
    const end = this.#startBytes + this.#bytes;
    try {
      if (!this.#isRegular) return;
      // Another program may have written to the descriptor.
      if (!this.#isOwn && fstatSync(this.#fd).size !== end + begun) return;
      ftruncateSync(this.#fd, end);
      // The descriptor is after the end now.
      this.#position = end;
    } catch {
      // The caller reports the failure of the write, which has the same reason.
    }
  }
}

/** Whether a pipe that does not block has no room. */
function isFull(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | null)?.code === "EAGAIN";
}

/**
 * Opens a file for writing. A pipe or a device is opened as it is. A file that may be overwritten is removed first, and not cut:
 * another program may write it, and would go on in the middle of the new one.
 */
function open(path: string, overwrite: boolean): number {
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats?.isFile() === false) return openSync(path, "w");
    if (!stats || !overwrite) return openSync(path, "wx");
    accessSync(path, constants.W_OK);
    // A link to the file stays.
    const replaced = realpathSync(path);
    unlinkSync(replaced);
    return openSync(replaced, "wx");
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
