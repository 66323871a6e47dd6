import { AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM } from "../constants.js";
import type { Stack } from "../driver/driver.js";
import { OSError, wrongType } from "../errors/errors.js";
import { Socket } from "./socket.js";

/**
 * Checks the arguments of `socket()`, then opens a socket of a stack. `socket(2)`.
 *
 * @throws `OSError` `EAFNOSUPPORT`, `EPROTONOSUPPORT`, and the errors of the stack; `TypeError`, `RangeError` for wrong options.
 */
export function openSocket(stack: () => Stack, family: unknown, type: unknown, options: unknown): Socket {
  if (typeof family !== "number") throw wrongType("family", "AF_INET or AF_INET6", family);
  if (typeof type !== "number") throw wrongType("type", "SOCK_DGRAM", type);
  if (typeof options !== "object" || options === null) throw wrongType("options", "an object", options);
  if (family !== AF_INET && family !== AF_INET6) {
    throw new OSError("EAFNOSUPPORT", { syscall: "socket", text: "the family must be AF_INET or AF_INET6" });
  }
  if (type !== SOCK_DGRAM) {
    throw new OSError("EPROTONOSUPPORT", {
      syscall: "socket",
      text:
        type === SOCK_STREAM
          ? "SOCK_STREAM is TCP, which node:net has: this package is UDP"
          : "the type must be SOCK_DGRAM",
    });
  }
  return new Socket(stack(), family, options);
}
