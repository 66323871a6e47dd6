import type { Stack } from "../core/driver/driver.js";
import { OSError } from "../core/errors/errors.js";
import { dgramStack } from "./dgram/dgram.js";
import { beginHostCounts } from "./host-counts.js";
import { nativeSupport } from "./native/stack.js";

/** The environment variable that forces a driver: `native` or `dgram`. */
export const driverVariable = "DATAGRAM_DRIVER";

let chosen: Stack | undefined;

/**
 * The driver of this thread's sockets: the one that `DATAGRAM_DRIVER` names, else the native one where it loads, else
 * `node:dgram`. The choice is made once.
 *
 * @throws `OSError` `ENOTSUP` when the variable names a driver that is not to be had here; `EINVAL` for another word.
 */
export function kernelStack(): Stack {
  if (!chosen) {
    chosen = choose(process.env[driverVariable] ?? "");
    beginHostCounts();
  }
  return chosen;
}

function choose(forced: string): Stack {
  switch (forced) {
    case "":
      return nativeSupport().stack ?? dgramStack;
    case "dgram":
      return dgramStack;
    case "native": {
      const native = nativeSupport();
      if (native.stack) return native.stack;
      throw new OSError("ENOTSUP", {
        syscall: "socket",
        text: `${driverVariable} asks for the native driver, which is not to be had: ${native.reason}`,
      });
    }
    default:
      throw new OSError("EINVAL", {
        syscall: "socket",
        text: `${driverVariable} must be native or dgram, not ${JSON.stringify(forced)}`,
      });
  }
}
