import type { OSError } from "../../core/errors/errors.js";

/** How datagrams are recorded. */
export interface RecordOptions {
  /**
   * Starts another file before a file has more bytes, 65,536 or more. Only a file with a single datagram may be longer. The names
   * of the files get a number and a time: `today.pcapng` becomes `today_00001_20261128063700.pcapng`.
   *
   * @default no limit
   */
  readonly rotateBytes?: number | undefined;
  /**
   * Ends a file after this time in milliseconds, 1,000 or more. The next datagram starts another file, with a name as for
   * `rotateBytes`.
   *
   * @default no limit
   */
  readonly rotateMs?: number | undefined;
  /**
   * With `rotateBytes` or `rotateMs`: the largest number of files, 1 or more. When another file starts, the oldest file is
   * removed.
   *
   * @default no limit
   */
  readonly maxFiles?: number | undefined;
  /**
   * Ends the recording before all files together have more bytes, 65,536 or more. They are never longer. Files that `maxFiles`
   * removed count too.
   *
   * @default no limit
   */
  readonly limitBytes?: number | undefined;
  /** Ends the recording with this datagram, 1 or more: the files have as many. @default no limit */
  readonly limitDatagrams?: number | undefined;
  /** Whether a file of the same name is replaced. @default false */
  readonly overwrite?: boolean | undefined;
  /**
   * Is called when datagrams cannot be written, for example because the disk is full, and again after the recording could
   * write in between. Without it, the first failure is a warning of the process.
   */
  readonly onError?: ((error: OSError) => void) | undefined;
}

/** Why a recording is over. */
export type RecordEnd = "closed" | "limit" | "sockets";

/** Counts of a recording. */
export interface RecordStats {
  /** Datagrams that are in a file, or in memory and about to be written. */
  readonly datagrams: number;
  /** Bytes of their payloads. */
  readonly bytes: number;
  /** ICMP errors that are in a file, or in memory. */
  readonly unreachable: number;
  /** Datagrams that the sockets read or sent, and that could not be written: the disk was too slow, full, or failed. */
  readonly missed: number;
  /** Datagrams that were lost before the sockets read them, at least. */
  readonly lost: number;
  /** Bytes of all files, without those in memory. */
  readonly fileBytes: number;
  /** Files so far. */
  readonly files: number;
  /** Why the recording is over; `undefined` while it records. */
  readonly ended: RecordEnd | undefined;
  /** The last failure to write; `undefined` if there was none. */
  readonly error: OSError | undefined;
}

/** A recording that `record` started. */
export interface Recording extends AsyncDisposable {
  /** The path of the file that is written, or that was written last: `/dev/fd/1` for the descriptor 1. */
  readonly file: string;
  /** Is resolved when the recording is over and its last file is complete, by `close()` or by itself. It is never rejected. */
  readonly finished: Promise<RecordStats>;
  /** The counts so far. */
  stats(): RecordStats;
  /**
   * Ends the recording, and writes what is in memory. It may be called again.
   *
   * @returns the counts.
   * @throws (rejects) `OSError` of the file system, if the end of the file could not be written.
   */
  close(): Promise<RecordStats>;
}
