import { unlinkSync } from "node:fs";

import { attempt } from "../../core/driver/driver-errors.js";
import type { Clock } from "../../core/driver/driver.js";
import { OSError } from "../../core/errors/errors.js";
import { BlockFile } from "./block-file.js";
import { numberedPath } from "./file-names.js";
import type { RecordOptions } from "./recording.js";

/** How often the file is looked for, in milliseconds. */
const lookMs = 1000;

/** The files of a recording: a single one, or numbered ones, one after the other. */
export class FileSeries {
  /** Whether the files are numbered. */
  readonly isNumbered: boolean;
  /** The path of the current file, or of the last one. */
  lastPath = "";
  /** Files so far. */
  count = 0;
  readonly #target: string | number;
  readonly #options: RecordOptions;
  readonly #clock: Clock;
  readonly #atOnce: boolean;
  #file: BlockFile | undefined;
  #bytesBefore = 0;
  /** The paths of the files, if the oldest ones are removed. */
  readonly #paths: string[] = [];
  #lookAt = 0;

  /**
   * @param target a path, or the descriptor of a single file.
   * @param atOnce whether blocks are written during the call that writes them.
   */
  constructor(target: string | number, options: RecordOptions, clock: Clock, atOnce: boolean) {
    this.#target = target;
    this.#options = options;
    this.#clock = clock;
    this.#atOnce = atOnce;
    this.isNumbered = options.rotateBytes !== undefined || options.rotateMs !== undefined;
  }

  /** Bytes of the current file. */
  get currentBytes(): number {
    return this.#file?.bytes ?? 0;
  }

  /** Bytes of the files before the current one. */
  get bytesBefore(): number {
    return this.#bytesBefore;
  }

  /** Whether the same blocks may be written twice to the current file, because they are written to the same place. */
  get hasPositions(): boolean {
    return this.#file?.hasPositions === true;
  }

  /** Writes during the call what waits for a full pipe. @returns whether something waited. */
  writeWaiting(): boolean {
    return this.#file?.writeWaiting() === true;
  }

  /** The current file, which is opened if there is none. @throws `OSError`. */
  current(): BlockFile {
    const now = this.#clock.now();
    if (this.#file && now >= this.#lookAt) {
      this.#lookAt = now + lookMs;
      if (this.#file.isRemoved) {
        const text = `${this.#file.path} was removed while it was written`;
        this.close();
        throw new OSError("ENOENT", { syscall: "write", text });
      }
    }
    return (this.#file ??= this.#open(now));
  }

  /** Removes the oldest files above `maxFiles`. To be called once a newer file has something in it. */
  removeOldest(): void {
    const { maxFiles = Infinity } = this.#options;
    // A file that cannot be removed may be gone already.
    while (this.#paths.length > maxFiles) attempt(() => unlinkSync(this.#paths.shift() ?? ""));
  }

  /** Closes the current file. @returns the failure, for example of a network file system that has written nothing so far. */
  close(): OSError | undefined {
    const file = this.#file;
    if (!file) return undefined;
    this.#file = undefined;
    // Each retry would leave one.
    if (this.isNumbered && file.bytes === 0 && !file.isRemoved) {
      attempt(() => unlinkSync(file.path));
      this.count--;
      if (this.#paths.at(-1) === file.path) this.#paths.pop();
    }
    this.#bytesBefore += file.bytes;
    try {
      file.close();
    } catch (error) {
      return error as OSError;
    }
    return undefined;
  }

  #open(now: number): BlockFile {
    const { overwrite = false, maxFiles = Infinity } = this.#options;
    const wallMs = Number(this.#clock.wall() / 1_000_000n);
    const target =
      this.isNumbered && typeof this.#target === "string"
        ? numberedPath(this.#target, this.count + 1, wallMs)
        : this.#target;
    // If the file was removed while it was written, a file with its name is that of another program.
    const mayReplace = overwrite && (this.isNumbered || this.count === 0);
    const file = new BlockFile(target, mayReplace, this.#clock, this.#atOnce);
    this.#lookAt = now + lookMs;
    this.count++;
    this.lastPath = file.path;
    if (maxFiles !== Infinity && this.isNumbered) this.#paths.push(file.path);
    return file;
  }
}
