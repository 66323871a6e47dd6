/** What drivers can do, feature by feature. */

/** Whether a driver can do a thing here, and why not where it can't. */
export type Capability =
  { readonly available: true } | { readonly available: false; readonly reason: string };

/** What drivers differ in. */
export type Feature =
  /** Many datagrams in one system call. */
  | "batching"
  /** Runs of equal datagrams to one peer leave as one segmented send: `UDP_SEGMENT`, udp(7). */
  | "segmentation"
  /** Runs of equal datagrams from one peer arrive merged, and are taken apart here: `UDP_GRO`, udp(7). */
  | "coalescing"
  /** Unread datagrams wait in the kernel's buffer, so that reading slowly costs this process no memory. */
  | "kernelQueue"
  /** `stats().droppedKernel` counts what a full receive buffer dropped. */
  | "kernelDropCount"
  /** ICMP errors are told of, whether a socket is connected or not, with their kind and who sent them. */
  | "icmpErrors"
  /** Datagrams say where they came to, by which interface and when, with what TTL and TOS; `sendmsg` sets these. */
  | "packetInfo"
  /** `pathMtu`, `maxPayload`, `dontFragment`, and the count of what leaves in fragments. */
  | "pathMtu"
  /** `sendto` elsewhere on a connected socket. */
  | "sendtoWhileConnected"
  /** `SO_REUSEPORT`. */
  | "reusePort"
  /** `getsockopt` asks the kernel; without it, it knows what was set and what is sure by default. */
  | "optionReadback"
  /** `blockSource`, `unblockSource`: a group without some of its senders. */
  | "blockSource"
  /** Options beyond address reuse, broadcast, buffer sizes, TTL and multicast: `IP_TOS`, `SO_PRIORITY`, … */
  | "allOptions"
  /** Sockets that another process opened: the option `fd`. */
  | "descriptors"
  /** Options that have no name here, by their numbers and bytes, and those of real kernels: `SO_MAX_PACING_RATE`, … */
  | "kernelOptions";

export type Capabilities = Readonly<Record<Feature, Capability>>;

/** For a driver's table of capabilities. */
export const available: Capability = Object.freeze({ available: true });

/** For a driver's table of capabilities: what is missing, and who has it. */
export function unavailable(reason: string): Capability {
  return Object.freeze({ available: false, reason });
}
