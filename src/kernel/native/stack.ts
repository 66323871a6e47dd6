import { type Capabilities, available } from "../../core/capabilities.js";
import type { Family } from "../../core/address/address.js";
import { AF_INET } from "../../core/constants.js";
import type { Stack } from "../../core/driver/driver.js";
import { codeOf } from "../../core/errors/errno.js";
import { fromErrno } from "../../core/errors/errors.js";
import { Ledger } from "../../core/ledger/ledger.js";
import { realClock } from "../clock.js";
import { randomUint32 } from "../random.js";
import { resolve } from "../resolver.js";
import { warn } from "../warn.js";
import { loadAddon } from "./addon.js";
import { adoptionRefused } from "./adoption.js";
import { NativeDriver } from "./driver.js";
import { reportingCapabilities } from "./kernel-options.js";
import { Names } from "./names.js";
import { offloadCapabilities } from "./offload.js";

/** The native driver where it is to be had, else why it isn't. */
export type NativeSupport =
  | { readonly stack: Stack; readonly reason?: undefined }
  | { readonly stack?: undefined; readonly reason: string };

let support: NativeSupport | undefined;

/** Loads the addon at the first call. @throws `OSError` `EMFILE`, where there is no socket to try it with. */
export function nativeSupport(): NativeSupport {
  return (support ??= load());
}

function load(): NativeSupport {
  const addon = loadAddon();
  if (typeof addon === "string") return { reason: addon };
  const names = new Names(addon);
  const probe = addon.open(AF_INET, () => undefined);
  if (typeof probe === "number") {
    const code = codeOf(-probe);
    // Anything else may be otherwise at the next try.
    if (code !== "ENOPROTOOPT" && code !== "EAFNOSUPPORT") throw fromErrno(-probe, { syscall: "socket" });
    return { reason: `the kernel refused the addon a socket: ${code}` };
  }
  const capabilities: Capabilities = Object.freeze({
    batching: available,
    ...offloadCapabilities(probe),
    kernelQueue: available,
    kernelDropCount: available,
    ...reportingCapabilities(probe),
    pathMtu: available,
    sendtoWhileConnected: available,
    reusePort: available,
    blockSource: available,
    optionReadback: available,
    allOptions: available,
    descriptors: available,
    kernelOptions: available,
  });
  probe.close();
  return {
    stack: {
      name: "native",
      clock: realClock,
      capabilities,
      ledger: new Ledger(capabilities),
      random: randomUint32,
      warn,
      resolve,
      interfaceNumber: (name) => addon.interfaceIndex(name) || undefined,
      familyOf(fd) {
        const family = addon.familyOf(fd);
        if (family < 0) throw adoptionRefused(fd, -family);
        return family as Family;
      },
      open: (family, options, events) =>
        new NativeDriver(addon, names, capabilities, family, options, events),
    },
  };
}
