import type { Address } from "../../core/address/address.js";
import { OSError } from "../../core/errors/errors.js";

/** What Node's errors of its own making stand for. */
const meant: Readonly<Record<string, string>> = {
  ERR_SOCKET_ALREADY_BOUND: "EINVAL",
  ERR_SOCKET_DGRAM_IS_CONNECTED: "EISCONN",
  ERR_SOCKET_DGRAM_NOT_CONNECTED: "ENOTCONN",
  ERR_SOCKET_DGRAM_NOT_RUNNING: "EBADF",
  ERR_SOCKET_BUFFER_SIZE: "EINVAL",
};

/** An error of Node's as an `OSError` of the call that it was about. */
export function toOSError(error: unknown, syscall: string, at?: Address): OSError {
  if (error instanceof OSError) return error;
  const code = codeOfError(error);
  return new OSError(code, { syscall, address: at?.host, port: at?.port, cause: error });
}

/** The code of an error of Node's. */
export function codeOfError(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? (meant[code] ?? code) : "EIO";
}
