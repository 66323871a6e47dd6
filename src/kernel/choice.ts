/**
 * Sockets of the operating system. `choice.ts` chooses the driver: `native/`, which needs the addon, or `dgram/`, over
 * `node:dgram`. The other files are for both: `resolver.ts` resolves names and caches them, `host-counts.ts` reads the drops
 * that the host counted, `membership-limits.ts` the limits of groups, `systemd.ts` adopts sockets that systemd opened.
 */

import { debuglog } from "node:util";

import type { Stack } from "../core/driver/driver.js";
import { OSError } from "../core/errors/errors.js";
import { dgramStack } from "./dgram/dgram.js";
import { beginHostCounts } from "./host-counts.js";
import { nativeSupport } from "./native/stack.js";

/** Writes to standard error with `NODE_DEBUG=datagram`. */
const debug = debuglog("datagram");

/** The environment variable that forces a driver: `native` or `dgram`. */
export const driverVariable = "DATAGRAM_DRIVER";

let chosen: Stack | undefined;
let fallback: string | undefined;

/**
 * Returns the stack of this thread's sockets: the driver that `DATAGRAM_DRIVER` names; without the variable, the native driver
 * if it loads, else `node:dgram`. The choice is made once.
 *
 * @throws `OSError` `ENOTSUP` if the variable names a driver that does not work here; `EINVAL` if it has another value.
 */
export function kernelStack(): Stack {
  if (!chosen) {
    chosen = choose(process.env[driverVariable] ?? "");
    beginHostCounts();
  }
  return chosen;
}

/** Whether the driver of this thread was chosen: before the first socket it was not. */
export function isDriverChosen(): boolean {
  return chosen !== undefined;
}

/** Returns why sockets use `node:dgram`, if nobody asked for it. */
export function fallbackReason(): string | undefined {
  kernelStack();
  return fallback;
}

function choose(forced: string): Stack {
  switch (forced) {
    case "": {
      const native = nativeSupport();
      if (native.stack) return native.stack;
      fallback = native.reason;
      debug("sockets use node:dgram: %s", fallback);
      return dgramStack;
    }
    case "dgram":
      return dgramStack;
    case "native": {
      const native = nativeSupport();
      if (native.stack) return native.stack;
      throw new OSError("ENOTSUP", {
        syscall: "socket",
        text: `${driverVariable} asks for the native driver, which is not available: ${native.reason}`,
      });
    }
    default:
      throw new OSError("EINVAL", {
        syscall: "socket",
        text: `${driverVariable} must be native or dgram, not ${JSON.stringify(forced)}`,
      });
  }
}
