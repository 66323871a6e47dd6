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
  return new OSError(code, { syscall, address: at?.host, port: at?.port, text: textOf(error), cause: error });
}

/** The code of an error of Node; `EIO` without one. Deno has the code `UNKNOWN` for errors that it has no code for. */
export function codeOfError(error: unknown): string {
  if (isNotCapable(error)) return "EPERM";
  const { code } = error as { code?: unknown };
  if (code === "UNKNOWN") return "EIO";
  return typeof code === "string" ? (kernelCodes[code] ?? code) : "EIO";
}

/** What a runtime says in place of a code; `undefined` for errors with a code, whose usual text says more. */
export function textOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  // It names the flag: `Requires net access to "127.0.0.1:9000", run again with the --allow-net flag`.
  if (isNotCapable(error)) return `Deno: ${error.message}`;
  const { code } = error as { code?: unknown };
  if (code === "UNKNOWN") return "Deno does not say why (does it need --allow-net for this address?)";
  // Bun has no code for a refused `connect`.
  return code === undefined ? error.message : undefined;
}

/** Whether Deno refused the call because the program lacks a permission. */
function isNotCapable(error: unknown): boolean {
  return error instanceof Error && error.name === "NotCapable";
}
