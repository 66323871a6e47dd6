/**
 * Records the datagrams of sockets to a capture file.
 *
 * `record.ts` has the public call, and `recording.ts` its options and its result. `recorded-interface.ts` makes the
 * blocks of one interface, with the headers of `flows.ts` and the notes of `notes.ts`, in the memory of `chunk-memory.ts`;
 * `recorded-socket.ts` is that of a socket. `file-recording.ts` decides where sections and files start and end, and keeps the
 * counts. `chunk-queue.ts` writes the memory to the files of `file-series.ts`, which `block-file.ts` opens and `file-names.ts` names.
 */

import { fileURLToPath } from "node:url";

import { outOfRange, wholeNumber, wrongType } from "../../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../../core/errors/fields.js";
import { Socket } from "../../core/socket/socket.js";
import { FileRecording, type RecordedInput } from "./file-recording.js";
import { Flows } from "./flows.js";
import type { RecordingHost } from "./recorded-interface.js";
import { RecordedSocket } from "./recorded-socket.js";
import type { RecordOptions, Recording } from "./recording.js";

const fields = fieldsOf<RecordOptions>({
  rotateBytes: true,
  rotateMs: true,
  maxFiles: true,
  limitBytes: true,
  limitDatagrams: true,
  overwrite: true,
  onError: true,
});
const minFileBytes = 65_536;
const maxDescriptor = 0x7fff_ffff;

/**
 * Records the datagrams that sockets read and send from now on: a pcapng file for Wireshark, tshark and `read`. The file has each
 * datagram as a packet with its own headers, also if datagrams travelled as one run. The IP and UDP headers are made up from
 * the addresses, TTL and TOS that the socket knows. Losses, ICMP errors and cut datagrams are noted in the file.
 *
 * The file exists and has its header when the call returns. What is in memory is written at least four times a second. The
 * recording ends by `close()`, by a limit, or when all its sockets are closed. It does not keep the process running, and
 * writes the rest when the process exits by itself.
 *
 * @param socket a socket, or several sockets, each of which becomes an interface of the file. With the native or the simulated
 *   driver, the file has the time of the kernel, and each datagram's destination.
 * @param file a path or a `file:` URL, whose folder must exist, or a descriptor that is open for writing, such as 1 for standard
 *   output. A descriptor gets the file where it is, also after what another program wrote, and stays open. It is a single file.
 * @throws `OSError` `EEXIST` if the file exists and `overwrite` is not set, `ENOENT`, `EACCES` and others of the file system;
 *   `EBADF` for a closed socket; `TypeError`, `RangeError`.
 */
export function record(
  socket: Socket | readonly Socket[],
  file: string | URL | number,
  options: RecordOptions = {},
): Recording {
  const sockets = (Array.isArray(socket) ? socket : [socket]) as readonly Socket[];
  if (sockets.length === 0 || !sockets.every((each: unknown) => each instanceof Socket))
    throw wrongType("socket", "a socket, or an array of sockets", socket);
  const [{ clock, driver }] = sockets as readonly [Socket];
  const open = (host: RecordingHost): RecordedSocket[] => {
    const flows = new Flows();
    const recorded: RecordedSocket[] = [];
    try {
      for (const each of sockets) recorded.push(new RecordedSocket(each, host, flows));
    } catch (error) {
      for (const each of recorded) each.end();
      throw error;
    }
    return recorded;
  };
  return recordTo(file, options, { clock, atOnce: driver === "sim", open });
}

/** Records any input, as `record` does. @throws as `record`. */
export function recordTo(
  file: string | URL | number,
  options: RecordOptions,
  input: RecordedInput,
): Recording {
  if (typeof file === "number") wholeNumber("file", file, 0, maxDescriptor);
  else if (typeof file !== "string" && !(file instanceof URL))
    throw wrongType("file", "a path, a URL or a descriptor", file);
  if (typeof options !== "object" || (options as unknown) === null)
    throw wrongType("options", "an object", options);
  refuseUnknown(options, fields, "options: a field");
  const { rotateBytes, rotateMs, maxFiles, limitBytes, limitDatagrams, overwrite = false, onError } = options;
  const max = Number.MAX_SAFE_INTEGER;
  if (typeof overwrite !== "boolean") throw wrongType("options.overwrite", "a boolean", overwrite);
  if (onError !== undefined && typeof onError !== "function")
    throw wrongType("options.onError", "a function", onError);
  if (rotateBytes !== undefined) wholeNumber("options.rotateBytes", rotateBytes, minFileBytes, max);
  if (rotateMs !== undefined) wholeNumber("options.rotateMs", rotateMs, 1000, max);
  if (maxFiles !== undefined) wholeNumber("options.maxFiles", maxFiles, 1, max);
  if (limitBytes !== undefined) wholeNumber("options.limitBytes", limitBytes, minFileBytes, max);
  if (limitDatagrams !== undefined) wholeNumber("options.limitDatagrams", limitDatagrams, 1, max);
  if (maxFiles !== undefined && rotateBytes === undefined && rotateMs === undefined)
    throw outOfRange("options.maxFiles", "used with rotateBytes or rotateMs", maxFiles);
  if (typeof file === "number" && (rotateBytes !== undefined || rotateMs !== undefined))
    throw outOfRange("file", "a path or a URL with rotateBytes or rotateMs", file);
  return new FileRecording(input, file instanceof URL ? fileURLToPath(file) : file, {
    rotateBytes,
    rotateMs,
    maxFiles,
    limitBytes,
    limitDatagrams,
    overwrite,
    onError,
  });
}
