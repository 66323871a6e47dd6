import { createReadStream, createWriteStream, existsSync, mkdtempSync, rmSync } from "node:fs";
import { stat } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";

import { type Recording, record, replay } from "../../capture/index.js";
import { Address, type Socket } from "../../index.js";
import type { WatchedSource } from "../sources/source.js";
import {
  type RecordingRow,
  type RecordingState,
  type Replay,
  type ReplayState,
  limits,
} from "../protocol.js";

/** Recordings and uploads that are kept. */
const maxFiles = 32;
/** Bytes of a recording, above which it ends. */
const maxRecordingBytes = 2 ** 30;

const serverEnds = "The server ends.";

/** The folders that are removed at the end. */
const temporaryFolders = new Set<string>();

/** Removes the recordings that nobody asked to keep: the process is about to end. */
export function removeTemporaryFolders(): void {
  for (const folder of temporaryFolders) rmSync(folder, { recursive: true, force: true });
  temporaryFolders.clear();
}

/** A file of the list. */
interface File {
  row: RecordingRow;
  readonly path: string;
}

/** The recordings that pages start, download, upload and replay. */
export class Recordings {
  readonly #sockets: readonly (Socket | undefined)[];
  readonly #record: WatchedSource["record"];
  readonly #changed: () => void;
  readonly #replayed: (state: ReplayState) => void;
  #folder: string | undefined;
  /** Whether the folder is removed at the end, with the recordings in it. */
  readonly #isOurs: boolean;
  readonly #files: File[] = [];
  #running: { readonly recording: Recording; readonly file: File } | undefined;
  #replay: AbortController | undefined;
  #isUploading = false;
  #isClosed = false;
  #count = 0;

  /**
   * @param sockets of the sources, by their numbers. The others cannot be recorded, and nothing is replayed from them.
   * @param folder of the recordings. Without one, they are in a folder that is removed at the end.
   * @param changed is called when the state has changed.
   * @param replayed gets the progress of a replay.
   * @param recordOther records a source that is no socket, if there is one.
   */
  constructor(
    sockets: readonly (Socket | undefined)[],
    folder: string | undefined,
    changed: () => void,
    replayed: (state: ReplayState) => void,
    recordOther?: WatchedSource["record"],
  ) {
    this.#sockets = sockets;
    this.#record = recordOther;
    this.#folder = folder;
    this.#isOurs = folder === undefined;
    this.#changed = changed;
    this.#replayed = replayed;
  }

  /** Whether a recording runs. */
  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** What runs, and what can be downloaded. */
  state(): RecordingState {
    const running = this.#running && this.#current(this.#running);
    return { type: "recording", running, files: this.#files.map(({ row }) => row) };
  }

  /** Starts a recording. @returns why it could not be started; `undefined` if it runs. */
  start(nowMs: number): string | undefined {
    if (this.#isClosed) return serverEnds;
    if (this.#running) return "A recording runs already.";
    if (this.#files.length >= maxFiles) return `There are ${maxFiles} recordings already.`;
    const sockets = this.#sockets.filter((each) => each?.closed === false) as Socket[];
    if (sockets.length === 0 && !this.#record)
      return "Nothing here can be recorded: there is no open socket.";
    try {
      const file = this.#newFile(undefined, nowMs);
      const options = { limitBytes: maxRecordingBytes, onError: () => undefined };
      const recording = this.#record?.(file.path, options) ?? record(sockets, file.path, options);
      this.#running = { recording, file };
      void recording.finished.then(() => this.#ended(recording));
    } catch (error) {
      return `The recording could not be started: ${(error as Error).message}`;
    }
    this.#changed();
    return undefined;
  }

  /** Ends the recording. */
  async stop(): Promise<void> {
    // A failure to write is in its counts.
    await this.#running?.recording.close().catch(() => undefined);
  }

  /** Sends a recording again, or ends that. @returns why it is not possible. */
  replay({ file: id, source, to, speed, stop }: Replay): string | undefined {
    if (stop) {
      this.#replay?.abort();
      return undefined;
    }
    if (this.#isClosed) return serverEnds;
    const file = this.#files.find(({ row }) => row.id === id);
    const socket = this.#sockets[source];
    if (!file) return "There is no such recording.";
    if (!socket) return "Nothing can be sent from this source.";
    if (this.#replay) return "A replay runs already.";
    if (speed === 0) return "The speed must be above 0.";
    void this.#sendAgain(file, socket, to, speed);
    return undefined;
  }

  /** Answers a download. @returns whether there is such a recording. */
  async download(
    name: string,
    response: ServerResponse,
    headers: Readonly<Record<string, string>>,
  ): Promise<boolean> {
    const id = /^(\d{1,6})\.pcapng$/.exec(name)?.[1];
    const file = this.#files.find(({ row }) => String(row.id) === id && !row.uploaded);
    if (!file) return false;
    const { size } = await stat(file.path);
    response.writeHead(200, {
      ...headers,
      "Content-Type": "application/vnd.tcpdump.pcap",
      "Content-Disposition": `attachment; filename="${file.row.name}"`,
      "Content-Length": size,
    });
    await pipeline(createReadStream(file.path), response).catch(() => undefined);
    return true;
  }

  /** Keeps the body of an upload. @returns its row, or why it is refused. */
  async upload(request: IncomingMessage, name: string | null, nowMs: number): Promise<RecordingRow | string> {
    if (this.#isClosed) return serverEnds;
    if (this.#isUploading) return "Another file is being uploaded.";
    if (this.#files.length >= maxFiles) return `There are ${maxFiles} recordings already.`;
    const shown = (name ?? "").replace(/[^\w .()-]/g, "_").slice(0, 100) || "upload";
    let file: File;
    try {
      file = this.#newFile(shown, nowMs);
    } catch (error) {
      return (error as Error).message;
    }
    this.#isUploading = true;
    let bytes = 0;
    const limit = new Transform({
      transform: (part: Buffer, _, done) => {
        bytes += part.length;
        if (bytes > limits.uploadBytes)
          done(new Error(`A file may have at most ${limits.uploadBytes} bytes.`));
        else done(null, part);
      },
    });
    try {
      await pipeline(request, limit, createWriteStream(file.path, { flags: "wx" }));
    } catch (error) {
      rmSync(file.path, { force: true });
      return (error as Error).message;
    } finally {
      this.#isUploading = false;
    }
    file.row = { ...file.row, bytes };
    this.#files.push(file);
    this.#changed();
    return file.row;
  }

  /** Ends the recording and the replay, and removes the folder if it was made here. */
  async close(): Promise<void> {
    // A page may send more before its connection ends.
    this.#isClosed = true;
    this.#replay?.abort();
    await this.stop();
    if (!this.#isOurs || this.#folder === undefined) return;
    rmSync(this.#folder, { recursive: true, force: true });
    temporaryFolders.delete(this.#folder);
  }

  /** @param upload the name of an upload; `undefined` for a recording. */
  #newFile(upload: string | undefined, startedMs: number): File {
    const folder = (this.#folder ??= mkdtempSync(join(tmpdir(), "datagram-watch-")));
    if (this.#isOurs) temporaryFolders.add(folder);
    const id = this.#count++;
    const name = upload ?? freeName(folder, startedMs);
    const row = { id, name, startedMs, datagrams: 0, bytes: 0, missed: 0, uploaded: upload !== undefined };
    // No name of a page becomes a path.
    return { row, path: join(folder, upload === undefined ? name : `upload-${startedMs}-${id}`) };
  }

  #current({ recording, file: { row } }: { recording: Recording; file: File }): RecordingRow {
    const { datagrams, bytes, missed } = recording.stats();
    return { ...row, datagrams, bytes, missed };
  }

  #ended(recording: Recording): void {
    const running = this.#running;
    if (running?.recording !== recording) return;
    this.#running = undefined;
    running.file.row = this.#current(running);
    this.#files.push(running.file);
    this.#changed();
  }

  async #sendAgain(file: File, socket: Socket, to: string, speed: number): Promise<void> {
    const stop = new AbortController();
    this.#replay = stop;
    const { id, datagrams, uploaded } = file.row;
    const total = uploaded ? undefined : datagrams;
    let sent = 0;
    const tell = (ended: boolean, error?: string): void =>
      this.#replayed({ type: "replaying", file: id, to, sent, total, ended, error });
    const onProgress = (stats: { readonly datagrams: number }): void => {
      sent = stats.datagrams;
      tell(false);
    };
    try {
      await replay(file.path, socket, { to: Address.parse(to), speed, signal: stop.signal, onProgress });
      tell(true);
    } catch (error) {
      tell(true, stop.signal.aborted ? undefined : (error as Error).message);
    } finally {
      this.#replay = undefined;
    }
  }
}

/** The name of a recording: its time, and a number if another one of that second is there. */
function freeName(folder: string, startedMs: number): string {
  const time = new Date(startedMs).toISOString().replace(/[-:]|\..*/g, "");
  for (let number = 1; ; number++) {
    const name = `datagrams-${time}${number === 1 ? "" : `-${number}`}.pcapng`;
    if (!existsSync(join(folder, name))) return name;
  }
}
