/** Errors about a driver. Anybody may write a driver, and the socket above it must keep working. */

import type { Address } from "../address/address.js";
import type { Capability } from "../capabilities.js";
import { OSError } from "../errors/errors.js";

/** The error of a driver that breaks the contract in `driver.ts`. */
export function brokenContract(what: string): Error {
  return new Error(`the driver broke its contract: ${what}`);
}

/** The error that a driver threw or rejected with. If it is no `OSError`, it becomes the cause of an `EIO`. */
export function toOSError(thrown: unknown, syscall: string, at?: Address | null): OSError {
  if (thrown instanceof OSError) return thrown;
  const why = thrown instanceof Error ? thrown.message : "it threw no error";
  const text = `the driver failed: ${why}`;
  return new OSError("EIO", { syscall, address: at?.host, port: at?.port, text, cause: thrown });
}

/** The error of a call that the driver has no method for. The feature that the driver lacks says why. */
export function notSupported(syscall: string, feature: Capability): OSError {
  return new OSError("ENOTSUP", { syscall, text: feature.available ? undefined : feature.reason });
}

/** Runs a step of closing a driver whose failure changes nothing: the other steps must still run. */
export function attempt(step: () => void): void {
  try {
    step();
  } catch {
    // See above.
  }
}
