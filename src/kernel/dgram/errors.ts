import type { Address } from "../../core/address/address.js";
import { OSError } from "../../core/errors/errors.js";

/** The codes of Node's own errors, with the code of the kernel that means the same. */
const kernelCodes: Readonly<Record<string, string>> = {
  ERR_SOCKET_ALREADY_BOUND: "EINVAL",
  ERR_SOCKET_DGRAM_IS_CONNECTED: "EISCONN",
  ERR_SOCKET_DGRAM_NOT_CONNECTED: "ENOTCONN",
  ERR_SOCKET_DGRAM_NOT_RUNNING: "EBADF",
  ERR_SOCKET_BUFFER_SIZE: "EINVAL",
};

/** Makes an `OSError` of the call `syscall` from an error of Node. */
export function toOSError(error: unknown, syscall: string, at?: Address): OSError {
  if (error instanceof OSError) return error;
  const code = codeOfError(error);
  return new OSError(code, { syscall, address: at?.host, port: at?.port, cause: error });
}

/** The code of an error of Node; `EIO` without one. */
export function codeOfError(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? (kernelCodes[code] ?? code) : "EIO";
}
