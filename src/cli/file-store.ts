/**
 * The folder of `datagram receive`. Each message becomes a file with a name of our own: time, peer, number and extension. The
 * bytes are written to a temporary name, which begins with a dot. So a file with its final name is always whole, and no file
 * is overwritten.
 */

import { constants, rmSync } from "node:fs";
import { access, link, lstat, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

import type { Endpoint } from "../core/address/address.js";
import { count } from "../core/ledger/count-text.js";
import { Failure, exitCodes } from "./exit.js";
import { extensionOf } from "./file-kind.js";
import { formatBytes } from "./option-values.js";
import { asSystemFailure } from "./system-errors.js";
import { cleanUpIfKilled } from "./terminal.js";

/** Bytes that a file takes at least, so that many small files reach the limit too. */
const minFileBytes = 4096;
/** The codes of file systems without hard links. */
const noLinks: ReadonlySet<unknown> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

/** A message for a file. */
export interface FileContent {
  readonly data: Buffer;
  readonly source: Endpoint;
  readonly time: Date;
}

/** Writes messages to files of one folder. */
export class FileStore {
  files = 0;
  bytes = 0;
  readonly #folder: string;
  readonly #limitBytes: number;
  /** Bytes on the disk, also those of files that are being written. */
  #usedBytes = 0;
  #number = 0;

  /**
   * Makes the folder if it is missing.
   *
   * @param limitBytes bytes of all files together. A file counts as 4096 bytes or more.
   * @throws `Failure` if the folder cannot be made or written to.
   */
  static async open(folder: string, limitBytes: number): Promise<FileStore> {
    const what = `write to the folder ${JSON.stringify(folder)}`;
    try {
      await makeFolder(folder);
      if (!(await stat(folder)).isDirectory())
        throw new Failure(exitCodes.error, `cannot ${what}: it is a file`);
      await access(folder, constants.W_OK | constants.X_OK);
    } catch (error) {
      throw asSystemFailure(error, what);
    }
    return new FileStore(folder, limitBytes);
  }

  private constructor(folder: string, limitBytes: number) {
    this.#folder = folder;
    this.#limitBytes = limitBytes;
  }

  /** Writes a file, and returns its path. @throws `Failure` if the limit or the disk is full. */
  async write({ data, source, time }: FileContent): Promise<string> {
    const uses = Math.max(data.length, minFileBytes);
    if (this.#usedBytes + uses > this.#limitBytes) {
      const text = `a message of ${count(data.length, "byte")} from ${source} is dropped: with it, the files would pass the limit of`;
      throw new Failure(exitCodes.error, `${text} ${formatBytes(this.#limitBytes)}: --limit sets another`);
    }
    this.#usedBytes += uses;
    const prefix = `${nameTime(time)}_${nameAddress(source)}`;
    const temporary = join(this.#folder, `.${prefix}_${++this.#number}.${process.pid}.part`);
    const release = cleanUpIfKilled(() => rmSync(temporary, { force: true }));
    try {
      await writeNew(temporary, data);
      const path = await this.#publish(temporary, prefix, extensionOf(data));
      this.files++;
      this.bytes += data.length;
      return path;
    } catch (error) {
      await rm(temporary, { force: true });
      const what = `write a message of ${count(data.length, "byte")} from ${source} to ${JSON.stringify(this.#folder)}`;
      throw asSystemFailure(error, what);
    } finally {
      release();
    }
  }

  /** Gives a whole file its final name: one that no file has. */
  async #publish(temporary: string, prefix: string, extension: string): Promise<string> {
    for (;;) {
      const path = join(this.#folder, `${prefix}_${this.#number}.${extension}`);
      try {
        await link(temporary, path);
        await rm(temporary);
        return path;
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (noLinks.has(code) && !(await exists(path))) {
          await rename(temporary, path);
          return path;
        }
        if (code !== "EEXIST" && !noLinks.has(code)) throw error;
        this.#number++;
      }
    }
  }
}

/**
 * Makes a folder, and those above it that are missing. Not by `recursive` of `mkdir`: on Node 20 it tries for ever if a file system
 * lets nobody make the folder, and says ENOENT.
 */
async function makeFolder(path: string): Promise<void> {
  if (await exists(path)) return;
  const parent = dirname(path);
  if (parent !== path) await makeFolder(parent);
  try {
    await mkdir(path);
  } catch (error) {
    // Another program has made it meanwhile.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

async function writeNew(path: string, data: Buffer): Promise<void> {
  const file = await open(path, "wx");
  try {
    await file.writeFile(data);
  } finally {
    await file.close();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

/** The time in UTC, without the colons that some file systems refuse: `2026-11-27T18-47-36.248Z`. */
function nameTime(time: Date): string {
  return time.toISOString().replaceAll(":", "-");
}

/** The address with the characters of IP literals only: `127.0.0.1-48079`, `2001-db8--7-48079`. */
function nameAddress({ host, port }: Endpoint): string {
  const plain = host.replace(/%.*/, "").toLowerCase().replaceAll(":", "-");
  return `${plain.replaceAll(/[^0-9a-f.-]/g, "_")}-${port}`;
}
