/**
 * Recordings of `datagram record`, `datagram listen --record` and `datagram proxy --record`: their options, how they start, fail
 * and end.
 */

import type { Command } from "commander";

import type { RecordOptions, RecordStats, Recording } from "../capture/index.js";
import { finishRecordings } from "../capture/record/file-recording.js";
import { count } from "../core/ledger/count-text.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { diskSize, duration, formatBytes, wholeNumber } from "./option-values.js";
import { checkRawOutput } from "./raw-output.js";
import { asSystemFailure } from "./system-errors.js";
import { cleanUpIfKilled, notice, warn } from "./terminal.js";

/** The path of standard output as a recording has it. */
const standardOutput = "/dev/fd/1";
/** Failures to write, as the cause of missing datagrams. */
const causes: ReadonlyMap<string, string> = new Map([
  ["ENOSPC", "the disk is full"],
  ["EDQUOT", "the quota of the disk is used up"],
  ["EPIPE", "the reader of standard output has gone"],
  ["ENOENT", "the file was removed"],
  ["EEXIST", "the file was removed, and another has its name"],
]);
/** The smallest file, in bytes. */
const minFileBytes = 65_536;

/** The options of the files of a recording. */
export interface RecordingOptions {
  readonly rotateSize?: number;
  readonly rotateTime?: number;
  readonly maxFiles?: number;
  readonly limit?: number;
  readonly overwrite?: true;
}

/** Adds the options of the files of a recording. @param atLimit what the limit ends: `end`. */
export function addRecordingOptions(command: Command, atLimit: string): Command {
  return command
    .option("--overwrite", "replace a file of the same name")
    .option(
      "--rotate-size <bytes>",
      "start another file at this size, such as 100m",
      fileSize("--rotate-size"),
    )
    .option(
      "--rotate-time <time>",
      "start another file after this time, such as 60m",
      duration("--rotate-time", 1000),
    )
    .option("--max-files <n>", "keep the newest n files", wholeNumber("--max-files", 1))
    .option(
      "--limit <bytes>",
      `${atLimit} at this size of all files together, such as 10g`,
      fileSize("--limit"),
    );
}

/** The options of `record` that the options of a command say. @param path of the file, or `-`. @throws `Failure`. */
export function recordOptionsOf(path: string, options: RecordingOptions): RecordOptions {
  const { rotateSize, rotateTime, maxFiles, limit, overwrite } = options;
  const rotates = rotateSize !== undefined || rotateTime !== undefined;
  if (maxFiles !== undefined && !rotates) throw usage("--max-files needs --rotate-size or --rotate-time");
  if (path === "-" && rotates)
    throw usage("standard output is one file: without --rotate-size and --rotate-time");
  return { rotateBytes: rotateSize, rotateMs: rotateTime, maxFiles, limitBytes: limit, overwrite };
}

/**
 * Starts a recording. A failure to write is a warning. A second Ctrl-C writes what is in memory before it ends the process.
 *
 * @param start begins to record to a file.
 * @param path of the file, or `-` for standard output.
 * @throws `Failure`.
 */
export function startRecording(
  start: (file: string | number, options: RecordOptions) => Recording,
  path: string,
  options: RecordOptions = {},
): Recording {
  if (path === "") throw usage("the name of the file is empty: give a path, such as today.pcapng");
  const name = nameOf(path === "-" ? standardOutput : path);
  if (path === "-") checkRawOutput("--output -", "today.pcapng");
  try {
    const recording: Recording = start(path === "-" ? 1 : path, {
      ...options,
      onError: ({ code, syscall, message }) => {
        // Nobody reads the pipe any more.
        if (code === "EPIPE") void recording.close().catch(() => undefined);
        else warn(messageOf(Object.assign(new Error(message), { code, syscall }), recording.file));
      },
    });
    void recording.finished.then(cleanUpIfKilled(finishRecordings));
    return recording;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST")
      throw new Failure(exitCodes.error, `cannot record to ${name}: it exists: --overwrite replaces it`);
    if (code === "ENOENT")
      throw new Failure(exitCodes.error, `cannot record to ${name}: there is no such folder`);
    throw asSystemFailure(error, `record to ${name}`);
  }
}

/**
 * Ends a recording, and prints its counts.
 *
 * @param from such as `3 peers`.
 * @param wanted the number of datagrams that ends it.
 * @throws `Failure` if its end could not be written.
 */
export async function endRecording(recording: Recording, from?: string, wanted?: number): Promise<void> {
  let failure: unknown;
  try {
    await recording.close();
  } catch (error) {
    failure = error;
  }
  for (const line of recordingSummary(recording, from, wanted)) notice(line);
  if (failure !== undefined) throw endFailure(failure, recording);
}

/** The error of a recording whose end could not be written. */
function endFailure(failure: unknown, recording: Recording): unknown {
  const error = asSystemFailure(failure, `write the end of ${nameOf(recording.file)}`);
  const { missed } = recording.stats();
  if (!(error instanceof Failure) || missed === 0) return error;
  return new Failure(
    error.exitCode,
    `${error.message}: nothing in it says that ${count(missed, "datagram")} ${missed === 1 ? "is" : "are"} missing after its last one`,
  );
}

/** The lines of the summary. Causes that did not happen are left out. */
export function recordingSummary(recording: Recording, from: string | undefined, wanted?: number): string[] {
  const stats = recording.stats();
  const { datagrams, files, fileBytes, missed, lost, unreachable, ended } = stats;
  const where =
    files === 1 ? nameOf(recording.file) : `${files} files, the last of them ${nameOf(recording.file)}`;
  const source = from === undefined ? "" : ` from ${from}`;
  const lines = [`recorded ${count(datagrams, "datagram")}${source}, ${formatBytes(fileBytes)}, to ${where}`];
  if (ended === "limit" && datagrams !== wanted) lines.push("  the limit of the size is reached");
  if (unreachable > 0) lines.push(`  and ${count(unreachable, "ICMP error")}`);
  if (missed > 0) lines.push(`  not written, because ${causeOf(stats)}: ${missed}`);
  if (lost > 0) lines.push(`  lost before they were recorded: ${lost} at least`);
  return lines;
}

/** Why datagrams are missing in the file. */
function causeOf({ error }: RecordStats): string {
  return causes.get(error?.code ?? "") ?? "the disk was too slow or failed";
}

/** The counts on one line, while a recording goes on. */
export function recordingStatus({ datagrams, fileBytes, missed, lost }: RecordStats): string {
  const losses = [
    ...(lost > 0 ? [`${lost} lost at least`] : []),
    ...(missed > 0 ? [`${missed} not written`] : []),
  ];
  return [count(datagrams, "datagram"), formatBytes(fileBytes), ...losses].join(", ");
}

function nameOf(path: string): string {
  return path === standardOutput ? "standard output" : JSON.stringify(path);
}

function messageOf(error: Error, path: string): string {
  const { code } = error as NodeJS.ErrnoException;
  const { message } =
    code === "ENOENT"
      ? new Error(`${nameOf(path)} was removed while it was written`)
      : (asSystemFailure(error, `write to ${nameOf(path)}`) as Error);
  return `${message}: datagrams are missing in the recording until it can be written again`;
}

/** Reads the size of a file for the option `name`. */
function fileSize(name: string): (text: string) => number {
  const size = diskSize(name);
  return (text) => {
    const bytes = size(text);
    if (bytes < minFileBytes) throw usage(`${name} takes 64k or more, not ${text}`);
    return bytes;
  };
}
