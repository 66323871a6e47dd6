/**
 * The errors of this package. `errors.ts` has the classes and what makes them; `errno.ts` has Linux's number and a text for
 * each code; `fields.ts` refuses unknown options. Nothing here knows of sockets.
 */

import { codeOf, meaningOf } from "./errno.js";

/** What an `OSError` can have besides its code. */
export interface OSErrorDetails {
  /** The call that failed: `"bind"`, `"sendto"`, `"recvfrom"`. */
  readonly syscall?: string | undefined;
  /** The host that the call was about. */
  readonly address?: string | undefined;
  /** The port that the call was about. */
  readonly port?: number | undefined;
  /** What happened, in place of the code's usual text. */
  readonly text?: string | undefined;
  /** The largest number of bytes that would have been taken (`EMSGSIZE`). */
  readonly limit?: number | undefined;
  /** The error that caused this one. */
  readonly cause?: unknown;
}

/**
 * A socket call that failed, as Python's `OSError` with Node's fields.
 *
 * `message` is `<syscall> <host>:<port>: <what happened> (<code>)`.
 */
export class OSError extends Error {
  /** The name of the failure, such as `"EADDRINUSE"`. `errno(3)`, or `"ENOTFOUND"` for a name that does not resolve. */
  readonly code: string;
  /** Linux's number for `code`, positive, the same on every platform. */
  readonly errno: number;
  /** The call that failed. */
  declare readonly syscall?: string;
  /** The host that the call was about. */
  declare readonly address?: string;
  /** The port that the call was about. */
  declare readonly port?: number;
  /** With `EMSGSIZE`: the largest number of payload bytes that would have been taken, or the number that was. */
  declare readonly limit?: number;
  /** From `sendMany`: the position of the first datagram that failed. */
  declare readonly index?: number;
  /** From `sendMany`: how many datagrams were sent although others failed. */
  declare readonly sent?: number;

  constructor(code: string, details: OSErrorDetails = {}) {
    const { errno, text } = meaningOf(code, details.syscall, details.address);
    super(
      describe(code, details.text ?? text, details),
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.code = code;
    this.errno = errno;
    for (const key of ["syscall", "address", "port", "limit"] as const) {
      if (details[key] !== undefined) Object.assign(this, { [key]: details[key] });
    }
  }

  static {
    this.prototype.name = "OSError";
  }
}

/** A receive call that timed out: an `OSError` with the code `ETIMEDOUT`. The socket stays usable. */
export class TimeoutError extends OSError {
  constructor(details: OSErrorDetails = {}) {
    super("ETIMEDOUT", details);
  }

  static {
    this.prototype.name = "TimeoutError";
  }
}

/** The same failure as that of another call: a driver does not know which call of the program it works for. */
export function ofCall(error: OSError, syscall: string): OSError {
  if (error.syscall === syscall) return error;
  const { code, address, port, limit, cause } = error;
  return new OSError(code, { syscall, address, port, limit, cause, text: textOf(error) });
}

/** What happened, without the call, the address and the code that the message has around it. */
export function textOf(error: OSError): string {
  const { code, message } = error;
  const [before, after] = [prefixOf(error), suffixOf(code)];
  const isOurs = message.startsWith(before) && message.endsWith(after);
  return isOurs ? message.slice(before.length, -after.length) : message;
}

/** The error of a failed system call. `errno` is the positive number that Linux uses. */
export function fromErrno(errno: number, details: OSErrorDetails): OSError {
  return new OSError(codeOf(errno), details);
}

/** A `TypeError` with the code `ERR_INVALID_ARG_TYPE`: `name` must be `expected`; `hint` ends its message. */
export function wrongType(name: string, expected: string, actual: unknown, hint = ""): TypeError {
  return withCode(
    new TypeError(`${name} must be ${expected}, not ${inspect(actual)}${hint}`),
    "ERR_INVALID_ARG_TYPE",
  );
}

/** A `RangeError` with the code `ERR_OUT_OF_RANGE`: `name` must be `expected`; `hint` ends its message. */
export function outOfRange(name: string, expected: string, actual: unknown, hint = ""): RangeError {
  const message = `${name} must be ${expected}, not ${inspect(actual)}${hint}`;
  return withCode(new RangeError(message), "ERR_OUT_OF_RANGE");
}

/** Returns `value` if it is a whole number from `min` to `max`. @throws `TypeError`, `RangeError` otherwise. */
export function wholeNumber(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== "number") throw wrongType(name, "a number", value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw outOfRange(name, `a whole number from ${min} to ${max}`, value);
  }
  return value;
}

function describe(code: string, text: string, details: OSErrorDetails): string {
  return prefixOf(details) + text + suffixOf(code);
}

/** The begin of a message: `sendto 10.0.0.7:9000: `. */
function prefixOf({ syscall, address, port }: OSErrorDetails): string {
  const where =
    address === undefined
      ? undefined
      : port === undefined
        ? address
        : address.includes(":")
          ? `[${address}]:${port}`
          : `${address}:${port}`;
  const what = [syscall, where].filter((part) => part !== undefined).join(" ");
  return what === "" ? "" : `${what}: `;
}

function suffixOf(code: string): string {
  return ` (${code})`;
}

function withCode<E extends Error>(error: E, code: string): E {
  return Object.assign(error, { code });
}

/** A short text for a value of any kind; never runs code of the value's. */
function inspect(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
    case "bigint":
      return `${value}n`;
    case "function":
      return "a function";
    case "symbol":
      return "a symbol";
    case "object":
      return value === null ? "null" : Array.isArray(value) ? "an array" : "an object";
    default:
      return String(value);
  }
}
