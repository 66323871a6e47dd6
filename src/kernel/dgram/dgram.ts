/**
 * The driver over `node:dgram`: it works on every system of Node.js and needs no addon. `driver.ts` is one socket as the core
 * sees it. It is made of the socket of Node (`socket.ts`), its peer (`association.ts`), its options and groups
 * (`options.ts`, `memberships.ts`), and the two directions (`sending.ts`, `receiving.ts`). `adoption.ts` checks a descriptor
 * that another program opened. `runtimes.ts` says what Bun and Deno do differently.
 */

import { type Capabilities, available, unavailable } from "../../core/capabilities.js";
import type { Stack } from "../../core/driver/driver.js";
import { OSError } from "../../core/errors/errors.js";
import { Ledger } from "../../core/ledger/ledger.js";
import { realClock } from "../clock.js";
import { interfaceNumber } from "../interfaces.js";
import { randomUint32 } from "../random.js";
import { resolve } from "../resolver.js";
import { runtime } from "../runtime.js";
import { warn } from "../warn.js";
import { familyOfDescriptor } from "./adoption.js";
import { DgramDriver } from "./driver.js";
import { hasReusePort } from "./options.js";
import { connectsInKernel, setsBuffers, takesDescriptors } from "./runtimes.js";

const where = runtime.name === "Node.js" ? "" : ", on Node.js";
const native = (what: string): string => `node:dgram ${what}: the native driver does${where}`;

const capabilities: Capabilities = Object.freeze({
  batching: unavailable(native("makes one system call a datagram, it does not batch")),
  segmentation: unavailable(native("has no UDP_SEGMENT")),
  coalescing: unavailable(native("has no UDP_GRO")),
  kernelQueue: unavailable(
    "node:dgram reads all the time: unread datagrams wait in this process, at most 4 MiB of them",
  ),
  kernelDropCount: unavailable(native("does not report what the kernel dropped")),
  icmpErrors: unavailable(
    native(
      connectsInKernel
        ? "reports ICMP errors to connected sockets only, without the ICMP type"
        : `of ${runtime.name} reports no ICMP errors`,
    ),
  ),
  packetInfo: unavailable(native("reports only the payload and the sender of a datagram")),
  pathMtu: unavailable(native("has no path MTU discovery")),
  sendtoWhileConnected: unavailable(native("sends only to the peer while connected")),
  reusePort: hasReusePort
    ? available
    : unavailable(native(`of ${runtime.name} ${runtime.version} ignores reusePort`)),
  blockSource: unavailable(native("has no call that blocks a source")),
  optionReadback: unavailable(
    native(
      setsBuffers
        ? "reads no option but the buffer sizes"
        : `of ${runtime.name} sets no buffer size and reads no option`,
    ),
  ),
  allOptions: unavailable(native("has no call for IP_TOS, SO_PRIORITY and others")),
  descriptors: takesDescriptors
    ? available
    : unavailable(native(`of ${runtime.name} does not use the descriptor of an open socket`)),
  busyPoll: unavailable(
    "node:dgram reads sockets only in the event loop: the native driver looks when it is called",
  ),
  kernelOptions: unavailable(native("passes no option to the kernel by its number")),
});

/** The stack of this driver. */
export const dgramStack: Stack = {
  name: "dgram",
  clock: realClock,
  capabilities,
  ledger: new Ledger(capabilities),
  random: randomUint32,
  warn,
  resolve,
  interfaceNumber,
  ...(takesDescriptors && { familyOf: familyOfDescriptor }),
  open(family, { dontFragment, fd }, events) {
    if (!dontFragment) return new DgramDriver(capabilities, family, fd, events);
    const text = "the dgram driver cannot forbid fragments (dontFragment): the native driver can";
    throw new OSError("ENOTSUP", { syscall: "socket", text });
  },
};
