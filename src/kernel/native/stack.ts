import { availableParallelism } from "node:os";

import { type Capabilities, available, unavailable } from "../../core/capabilities.js";
import type { Family } from "../../core/address/address.js";
import { AF_INET } from "../../core/constants.js";
import type { Stack } from "../../core/driver/driver.js";
import { int32 } from "../../core/driver/bytes.js";
import { codeOf } from "../../core/errors/errno.js";
import { fromErrno } from "../../core/errors/errors.js";
import { Ledger } from "../../core/ledger/ledger.js";
import { realClock } from "../clock.js";
import { randomUint32 } from "../random.js";
import { resolve } from "../resolver.js";
import { warn } from "../warn.js";
import { type Addon, type Handle, loadAddon } from "./addon.js";
import { adoptionRefused } from "./adoption.js";
import { NativeDriver } from "./driver.js";
import { reportingCapabilities } from "./kernel-options.js";
import { Names } from "./socket-names.js";
import { SOL_UDP, UDP_GRO, offloadCapabilities } from "./offload.js";
import { KernelSocket } from "./socket.js";

/** The native driver, or the reason why it does not work here. */
export type NativeSupport =
  | {
      readonly stack: Stack;
      readonly reason?: undefined;
      /** Returns another descriptor of the same socket. @throws `OSError` such as `EMFILE`. */
      readonly duplicate: (fd: number) => number;
    }
  | { readonly stack?: undefined; readonly duplicate?: undefined; readonly reason: string };

let support: NativeSupport | undefined;

/** Loads the addon at the first call. @throws `OSError` such as `EMFILE` if no socket can be opened to test it. */
export function nativeSupport(): NativeSupport {
  return (support ??= load());
}

function load(): NativeSupport {
  const addon = loadAddon();
  if (typeof addon === "string") return { reason: addon };
  const names = new Names(addon);
  const probe = openProbe(addon);
  if (typeof probe === "number") {
    const code = codeOf(-probe);
    // Any other error may not occur at the next try.
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
    busyPoll:
      availableParallelism() > 1
        ? available
        : unavailable("this process has one CPU: while it looks, no sender could run"),
    kernelOptions: available,
  });
  if (capabilities.coalescing.available) keepMerging(probe);
  else probe.close();
  return {
    stack: {
      name: "native",
      clock: realClock,
      capabilities,
      ledger: new Ledger(capabilities),
      random: randomUint32,
      crc32: addon.crc32,
      copyPieces: addon.copyPieces,
      takeChunks: addon.takeChunks,
      reuse: (data) => addon.receiveBatch.returnPiece(data),
      warn,
      resolve,
      interfaceNumber: (name) => addon.interfaceIndex(name) || undefined,
      familyOf(fd) {
        const family = addon.familyOf(fd);
        if (family < 0) throw adoptionRefused(fd, -family);
        return family as Family;
      },
      open: (family, options, events) =>
        new NativeDriver(new KernelSocket(addon, names, capabilities, family, options, events)),
    },
    duplicate(fd) {
      const copy = addon.duplicate(fd);
      if (copy < 0) throw fromErrno(-copy, { syscall: "dup" });
      return copy;
    },
  };
}

/** Opens a socket and puts it on the event loop. @returns a negative errno if that fails. */
function openProbe(addon: Addon): Handle | number {
  const probe = addon.open(AF_INET, { onEvents: () => undefined });
  if (typeof probe === "number") return probe;
  const refused = probe.prepare();
  if (refused === 0) return probe;
  probe.close();
  return refused;
}

/**
 * Keeps a socket open that has `UDP_GRO`. Linux patches its own code when the first socket of the machine gets this option and
 * when the last such socket closes (`udp_encap_needed_key`, net/ipv4/udp.c): then open and close take some dozens of times as
 * long (`findings/first-gro-socket-patches-the-kernel.sh`).
 */
function keepMerging(probe: Handle): void {
  probe.setOption(SOL_UDP, UDP_GRO, int32(1));
}
