import { lstatSync, mkdirSync, readdirSync, unlinkSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";

import { BlockFile } from "../capture/record/block-file.js";
import { writeSectionHeader } from "../capture/record/section-header.js";
import { numberedPath } from "../capture/record/file-names.js";
import type { Endpoint } from "../core/address/address.js";
import { attempt } from "../core/driver/driver-errors.js";
import type { Clock } from "../core/driver/driver.js";
import { OSError } from "../core/errors/errors.js";
import { BlockWriter, LINKTYPE_RAW } from "../wire/pcapng.js";
import type { CheckedFolder } from "./folder-options.js";
import { peerToken } from "./subjects.js";

/** The files of a gateway that stores in a folder. */
export interface FolderStats {
  /** Files that this gateway has written, without those of earlier runs. */
  readonly files: number;
  /** Files that were removed because of `limitBytes`, also those of earlier runs. Their datagrams are still in `stored`. */
  readonly removedFiles: number;
  /** Bytes of all files of this gateway that are in the folder, also those of earlier runs. */
  readonly bytes: number;
}

/** A file that is complete. */
interface OldFile {
  readonly path: string;
  readonly number: number;
  readonly bytes: number;
}

/** The capture files of one gateway in a folder: `datagram_<local address>_<number>_<time>.pcapng`. */
export class FolderFiles {
  readonly #clock: Clock;
  readonly #options: CheckedFolder;
  readonly #target: string;
  /** The blocks at the start of each file. */
  readonly #head: Uint8Array;
  /** The oldest one first. */
  readonly #old: OldFile[];
  #oldBytes: number;
  #nextNumber: number;
  #file: BlockFile | undefined;
  #startedMs = 0;
  #count = 0;
  #removed = 0;

  /** @param local the address of the socket. @throws `OSError` if the folder is missing and cannot be made, or cannot be read. */
  constructor(options: CheckedFolder, local: Endpoint, clock: Clock) {
    this.#clock = clock;
    this.#options = options;
    const name = `datagram_${peerToken(local)}`;
    this.#target = join(options.into, `${name}.pcapng`);
    this.#head = headOf(String(local));
    try {
      this.#old = oldFiles(options.into, name);
    } catch (error) {
      const { code = "EIO" } = error as NodeJS.ErrnoException;
      throw new OSError(code, {
        syscall: "gateway",
        text: `${options.into}: ${reasonOf(error)}`,
        cause: error,
      });
    }
    this.#oldBytes = this.#old.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#nextNumber = (this.#old.at(-1)?.number ?? 0) + 1;
  }

  /** Bytes of the blocks that a file may have. */
  get maxBlocksBytes(): number {
    return this.#options.rotateBytes - this.#head.length;
  }

  stats(): FolderStats {
    return { files: this.#count, removedFiles: this.#removed, bytes: this.#bytes };
  }

  /**
   * Appends blocks, and waits until the disk has them.
   *
   * @param blocks up to `maxBlocksBytes`.
   * @throws (rejects) an error of the file system. Then nothing of the blocks is in a file, and the next blocks go into another one.
   */
  async append(blocks: Uint8Array): Promise<void> {
    try {
      const isOld = this.#clock.now() - this.#startedMs >= this.#options.rotateMs;
      if (this.#file && (isOld || this.#file.bytes + blocks.length > this.#options.rotateBytes)) this.close();
      const isNew = this.#file === undefined;
      this.#makeRoom(blocks.length + (isNew ? this.#head.length : 0));
      const file = (this.#file ??= await this.#open());
      const bytes = isNew ? Buffer.concat([this.#head, blocks]) : blocks;
      await new Promise<void>((resolve, reject) => {
        file.appendToDisk(bytes, (error) => (error ? reject(error) : resolve()));
      });
      if (file.isRemoved) throw new OSError("ENOENT", { syscall: "write", text: `${file.path} was removed` });
      if (isNew) this.#count++;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Ends the current file. */
  close(): void {
    const file = this.#file;
    if (!file) return;
    this.#file = undefined;
    const { path, bytes, isRemoved } = file;
    // The disk has everything: a failure of closing loses nothing.
    attempt(() => file.close());
    if (isRemoved) return;
    if (bytes === 0) {
      // Each try on a full disk would leave one.
      attempt(() => unlinkSync(path));
      return;
    }
    this.#old.push({ path, number: this.#nextNumber - 1, bytes });
    this.#oldBytes += bytes;
  }

  get #bytes(): number {
    return this.#oldBytes + (this.#file?.bytes ?? 0);
  }

  /** Removes the oldest files until `bytes` more are below the limit. */
  #makeRoom(bytes: number): void {
    while (this.#bytes + bytes > this.#options.limitBytes) {
      const [oldest] = this.#old;
      if (!oldest) return;
      try {
        unlinkSync(oldest.path);
        this.#removed++;
      } catch (error) {
        // Somebody else may have removed it.
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
      this.#old.shift();
      this.#oldBytes -= oldest.bytes;
    }
  }

  async #open(): Promise<BlockFile> {
    const wallMs = Number(this.#clock.wall() / 1_000_000n);
    let file;
    try {
      file = new BlockFile(numberedPath(this.#target, this.#nextNumber, wallMs), false, this.#clock, false);
    } catch (error) {
      // The file of another program: the next try has the next number.
      if ((error as OSError).code === "EEXIST") this.#nextNumber++;
      throw error;
    }
    this.#nextNumber++;
    this.#file = file;
    this.#startedMs = this.#clock.now();
    await syncFolder(this.#options.into);
    return file;
  }
}

/** An error of the file system in words that do not depend on the file. */
export function reasonOf(error: unknown): string {
  const { code = "EIO" } = error as NodeJS.ErrnoException;
  return reasons.get(code) ?? `the file system says ${code}`;
}

const reasons: ReadonlyMap<string, string> = new Map([
  ["ENOSPC", "the disk is full"],
  ["EDQUOT", "the quota of the disk is used up"],
  ["ENOENT", "the folder or the file is not there"],
  ["ENOTDIR", "it is not a folder"],
  ["EEXIST", "another program has written a file with this name"],
  ["EACCES", "permission denied"],
  ["EPERM", "permission denied"],
  ["EROFS", "the file system is read-only"],
  ["EIO", "the disk failed"],
  ["EFBIG", "the file would be longer than the system allows: let files be smaller"],
]);

/** The names of new files outlive a power failure only after this (fsync(2)). */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  try {
    await folder.sync();
  } catch (error) {
    // Some file systems cannot do that for folders.
    if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error;
  } finally {
    await folder.close();
  }
}

/** The files of earlier runs. Other files in the folder are left alone. @throws an error of the file system. */
function oldFiles(folder: string, name: string): OldFile[] {
  try {
    mkdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const found: OldFile[] = [];
  for (const file of readdirSync(folder)) {
    const [, number] = file.startsWith(`${name}_`)
      ? (/^_(\d{5,15})_\d{14}[.]pcapng$/.exec(file.slice(name.length)) ?? [])
      : [];
    const path = join(folder, file);
    const stats = number === undefined ? undefined : lstatSync(path, { throwIfNoEntry: false });
    if (stats?.isFile()) found.push({ path, number: Number(number), bytes: stats.size });
  }
  return found.sort((one, other) => one.number - other.number);
}

function headOf(local: string): Uint8Array {
  const writer = new BlockWriter();
  writeSectionHeader(writer);
  writer.interfaceDescription({
    linkType: LINKTYPE_RAW,
    snapLength: 0,
    name: local,
    description: "UDP socket",
  });
  return writer.written;
}
