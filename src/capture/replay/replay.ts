import { wrongType } from "../../core/errors/errors.js";
import { refuseUnknown } from "../../core/errors/fields.js";
import type { Socket } from "../../core/socket/socket.js";
import type { CapturedDatagram } from "../captured-datagram.js";
import { openInput } from "./input.js";
import {
  type ReplayDatagram,
  type ReplayInput,
  type ReplayOptions,
  type ReplayStats,
  checkReplay,
  replayFields,
} from "./options.js";
import { ReplayRun } from "./run.js";
import { type ReplayTo, SocketTarget } from "./target.js";

/** The options of `replay`. */
export interface SocketReplayOptions<D extends ReplayDatagram = CapturedDatagram> extends ReplayOptions<D> {
  /** Where the datagrams are sent. @default the connected peer */
  readonly to?: ReplayTo<D> | undefined;
  /**
   * Whether datagrams with the same recorded time may leave as one segmented send, as in the original. If `false`, each datagram
   * is a packet of its own on every link. @default false
   */
  readonly segmentation?: boolean | undefined;
}

/**
 * Sends the datagrams of a capture file with the times between them that the file has. The time of each datagram is counted from the
 * start, so a delay does not move the datagrams after it. A datagram that is sent late is sent at once.
 *
 * A datagram that the network or the system refuses is counted in `failed`, and the replay goes on. Until it is done, the
 * replay keeps the process alive. If datagrams are less than 2 ms apart, it uses most of one CPU, because timers of Node are not
 * more precise than that. On a simulated host, every datagram is sent exactly at its time.
 *
 * @param file as for `read`, or datagrams: those of `consume()` of `datagram/gateway`, or of any other `AsyncIterable`.
 * @param socket sends the datagrams, from its own address, and stays open.
 * @returns what was sent, and how late.
 * @throws (rejects) `TypeError` and `RangeError` for wrong arguments; the errors of `read`, after all datagrams before the unreadable
 *   part are sent; `OSError` `EINVAL` for a datagram without a time, `ENOTSUP` for a whole message of a stream, `EDESTADDRREQ`
 *   without `to` if the socket is not connected, `EACCES` for a broadcast address without `SO_BROADCAST`, `EBADF` and `ECANCELED`
 *   if the socket is closed; `signal.reason`.
 */
export async function replay<D extends ReplayDatagram = CapturedDatagram>(
  file: ReplayInput<D>,
  socket: Socket,
  options: SocketReplayOptions<D> = {},
): Promise<ReplayStats> {
  refuseUnknown(options, [...replayFields, "to", "segmentation"], "options: a field");
  const { to, segmentation = false } = options;
  if (typeof segmentation !== "boolean") throw wrongType("options.segmentation", "a boolean", segmentation);
  const terms = checkReplay(file, options);
  const target = new SocketTarget(socket, to as ReplayTo<ReplayDatagram> | undefined, segmentation);
  return await new ReplayRun(() => openInput(file, terms.mtu), target, terms).run();
}
