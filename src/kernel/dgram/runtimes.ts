/** What `node:dgram` does differently in Bun and Deno, seen with Bun 1.4.5 and Deno 2.9.6 (`npm run test:runtimes`). */

import { runtime } from "../runtime.js";

/**
 * Whether `connect` reaches the kernel. In Deno it only keeps the address: datagrams of other senders still arrive, the socket
 * gets no ICMP errors, and its address stays as it was bound.
 */
export const connectsInKernel: boolean = runtime.name !== "Deno";

/** Whether `connect` of a bound socket to a literal is done during the call. Bun has a peer only when it calls back. */
export const connectsAtOnce: boolean = runtime.name === "Node.js";

/** Whether `send` keeps the order of the calls. Deno starts all sends at the same time, and they end in any order. */
export const sendsInOrder: boolean = runtime.name !== "Deno";

/** Whether the sizes of the buffers can be set and read. Deno sets none, and reads back the size that was asked for. */
export const setsBuffers: boolean = runtime.name !== "Deno";

/** Whether `bind({ fd })` works. Deno refuses it, and Bun has no address then until the loop turns. */
export const takesDescriptors: boolean = runtime.name === "Node.js";
