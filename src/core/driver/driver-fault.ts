/** Errors for faults of a driver. A driver may be anybody's, and the socket above it must keep working. */

import type { Address } from "../address/address.js";
import { OSError } from "../errors/errors.js";

/** The error of a driver that does what the contract in `driver.ts` forbids. */
export function brokenContract(what: string): Error {
  return new Error(`the driver broke its contract: ${what}`);
}

/** What a driver threw or rejected with, as an `OSError`: any other value becomes the cause of an `EIO`. */
export function toOSError(thrown: unknown, syscall: string, at?: Address | null): OSError {
  if (thrown instanceof OSError) return thrown;
  const why = thrown instanceof Error ? thrown.message : "it threw no error";
  const text = `the driver failed: ${why}`;
  return new OSError("EIO", { syscall, address: at?.host, port: at?.port, text, cause: thrown });
}

/** Runs a step of closing a driver whose failure changes nothing: the other steps must still run. */
export function attempt(step: () => void): void {
  try {
    step();
  } catch {
    // See above.
  }
}
