import type { Family } from "../core/address.js";
import { Address, OSError, SOCK_DGRAM, SOL_SOCKET, SO_BROADCAST, type Socket, socket } from "../index.js";
import { Failure, exitCodes } from "./exit.js";
import { warn } from "./terminal.js";
import { narrowText, refused } from "./unreachable.js";

/** A socket to send with, which warns of what does not fit the path. */
export function sendingSocket(family: Family, broadcast: boolean): Socket {
  const s = socket(family, SOCK_DGRAM);
  if (broadcast) s.setsockopt(SOL_SOCKET, SO_BROADCAST, true);
  s.on("pathMtu", (change) => warn(narrowText(change)));
  return s;
}

/** An error of sending, in words of the command line. */
export function explained(error: unknown, broadcast: boolean): unknown {
  if (!(error instanceof OSError)) return error;
  const to = new Address(error.address ?? "", error.port ?? 0);
  if (error.code === "ECONNREFUSED") return refused(error, to);
  if (error.code !== "EACCES" || broadcast) return error;
  return new Failure(exitCodes.error, `${to} is a broadcast address: give --broadcast to send there`);
}
