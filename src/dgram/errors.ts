/** Errors in the form that Node gives them: `code`, a negative `errno`, and the texts of Node. */

import { OSError } from "../core/errors/errors.js";

/** An error of a system call as Node makes it. */
export interface SystemError extends Error {
  readonly errno: number;
  readonly code: string;
  readonly syscall: string;
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  readonly hostname?: string | undefined;
}

/** The codes of name resolution. libuv has its own numbers for them (uv-errno.h). */
const lookupCodes: ReadonlySet<string> = new Set(["ENOTFOUND", "EAI_AGAIN"]);

/** The codes of `OSError` for which the kernel has another code, because this package checks before the kernel does. */
const kernelCodes: Readonly<Record<string, string>> = { EAFNOSUPPORT: "EINVAL" };

/** The error of a system call about nothing but the socket: `setTTL EBADF`. */
export function callError(code: string, syscall: string, cause?: unknown): SystemError {
  return withErrno(new Error(`${syscall} ${code}`, causeOf(cause)), code, syscall, cause);
}

/** The error of a call with an address: `bind EADDRINUSE 127.0.0.1:9000`. */
export function addressError(
  reason: unknown,
  syscall: string,
  address: string | undefined,
  port: number | undefined,
): SystemError {
  const code = codeFor(reason);
  const where =
    port !== undefined && port > 0 ? ` ${address}:${port}` : address === undefined ? "" : ` ${address}`;
  const error = new Error(`${syscall} ${code}${where}`, causeOf(reason));
  const made = Object.assign(withErrno(error, code, syscall, reason), { address });
  return port !== undefined && port > 0 ? Object.assign(made, { port }) : made;
}

/** The error of a name without an address: `getaddrinfo ENOTFOUND no.such.host`. `undefined` if `reason` is another error. */
export function lookupError(reason: unknown, hostname: string): SystemError | undefined {
  if (!(reason instanceof OSError) || !lookupCodes.has(reason.code)) return undefined;
  const error = new Error(`getaddrinfo ${reason.code} ${hostname}`, causeOf(reason));
  return Object.assign(withErrno(error, reason.code, "getaddrinfo", reason), { hostname });
}

/** The code of the kernel for an error of a core socket. */
export function codeFor(reason: unknown): string {
  if (reason instanceof OSError) return kernelCodes[reason.code] ?? reason.code;
  // The arguments that this package refuses with a `TypeError` or `RangeError` are EINVAL for the kernel.
  return "EINVAL";
}

/** `ERR_SOCKET_BUFFER_SIZE`, which has fields of its own. */
export function bufferSizeError(code: string, text: string, syscall: string, reason?: unknown): Error {
  const message = `Could not get or set buffer size: ${syscall} returned ${code} (${text})`;
  const { errno } = callError(code, syscall, reason);
  const error = Object.assign(new Error(message, causeOf(reason)), { errno, syscall });
  error.name = "SystemError";
  return withCode(error, "ERR_SOCKET_BUFFER_SIZE");
}

/** The errors of Node for wrong arguments and wrong states, by their codes. */
export const wrong = {
  alreadyBound: (): Error => withCode(new Error("Socket is already bound"), "ERR_SOCKET_ALREADY_BOUND"),
  connected: (): Error => withCode(new Error("Already connected"), "ERR_SOCKET_DGRAM_IS_CONNECTED"),
  notConnected: (): Error => withCode(new Error("Not connected"), "ERR_SOCKET_DGRAM_NOT_CONNECTED"),
  notRunning: (): Error => withCode(new Error("Not running"), "ERR_SOCKET_DGRAM_NOT_RUNNING"),
  badType: (): Error =>
    withCode(new TypeError("Bad socket type specified. Valid types are: udp4, udp6"), "ERR_SOCKET_BAD_TYPE"),
  badBufferSize: (): Error =>
    withCode(new TypeError("Buffer size must be a positive integer"), "ERR_SOCKET_BAD_BUFFER_SIZE"),
  bufferBounds: (name: string): Error =>
    withCode(new RangeError(`"${name}" is outside of buffer bounds`), "ERR_BUFFER_OUT_OF_BOUNDS"),
  missing: (name: string): Error =>
    withCode(new TypeError(`The "${name}" argument must be specified`), "ERR_MISSING_ARGS"),
  fdType: (reason: unknown): Error =>
    withCode(new TypeError("Unsupported fd type: UNKNOWN", causeOf(reason)), "ERR_INVALID_FD_TYPE"),
  handleType: (): Error =>
    withCode(
      new TypeError(
        "This handle type cannot be sent: a socket of this package stays in its process. Open it in the other process, share its " +
          "port as a worker of node:cluster, or pass its descriptor at the start and bind({ fd }) there",
      ),
      "ERR_INVALID_HANDLE_TYPE",
    ),
  blocked: (ip: string): Error =>
    withCode(new Error(`IP(${ip}) is blocked by net.BlockList`), "ERR_IP_BLOCKED"),
  port: (name: string, allowZero: boolean, actual: unknown): Error =>
    withCode(
      new RangeError(
        `${name} should be ${allowZero ? ">=" : ">"} 0 and < 65536. Received ${kindOf(actual)}.`,
      ),
      "ERR_SOCKET_BAD_PORT",
    ),
  type: (name: string, expected: string, actual: unknown): Error =>
    withCode(
      new TypeError(`The "${name}" ${noun(name)} must be ${expected}. Received ${kindOf(actual)}`),
      "ERR_INVALID_ARG_TYPE",
    ),
  value: (name: string, actual: unknown, why: string): Error =>
    withCode(
      new TypeError(`The ${noun(name)} '${name}' ${why}. Received ${kindOf(actual)}`),
      "ERR_INVALID_ARG_VALUE",
    ),
  range: (name: string, expected: string, actual: unknown): Error =>
    withCode(
      new RangeError(
        `The value of "${name}" is out of range. It must be ${expected}. Received ${String(actual)}`,
      ),
      "ERR_OUT_OF_RANGE",
    ),
} as const;

function withErrno<E extends Error>(
  error: E,
  code: string,
  syscall: string,
  reason: unknown,
): E & SystemError {
  const known = reason instanceof OSError && reason.code === code ? reason : new OSError(code);
  return Object.assign(error, { errno: -known.errno, code, syscall });
}

function withCode<E extends Error>(error: E, code: string): E & { readonly code: string } {
  return Object.assign(error, { code });
}

function causeOf(reason: unknown): ErrorOptions | undefined {
  return reason === undefined ? undefined : { cause: reason };
}

function noun(name: string): string {
  return name.includes(".") ? "property" : "argument";
}

/** What an argument is, in the words of Node. */
function kindOf(actual: unknown): string {
  if (actual === undefined || actual === null) return String(actual);
  if (typeof actual === "object") return `an instance of ${actual.constructor.name}`;
  switch (typeof actual) {
    case "function":
      return `function ${actual.name}`;
    case "string":
      return `type string ('${actual.length > 28 ? `${actual.slice(0, 25)}...` : actual}')`;
    default:
      return `type ${typeof actual} (${(actual as number | bigint | boolean | symbol).toString()})`;
  }
}
