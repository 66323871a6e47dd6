/** The features that drivers have or lack. */

/** Whether a driver has a feature here, and if not, why. */
export type Capability =
  { readonly available: true } | { readonly available: false; readonly reason: string };

/** The features in which drivers differ. */
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
  /** ICMP errors are reported, also on sockets that are not connected, with their kind and their sender. */
  | "icmpErrors"
  /** Datagrams have their destination, interface, timestamp, TTL and TOS; `sendmsg` sets source, interface, TTL and TOS. */
  | "packetInfo"
  /** `pathMtu`, `maxPayload`, `dontFragment`, and the count of datagrams that leave in fragments. */
  | "pathMtu"
  /** `sendto` elsewhere on a connected socket. */
  | "sendtoWhileConnected"
  /** `SO_REUSEPORT`. */
  | "reusePort"
  /** `getsockopt` asks the kernel. Without this feature, it returns what was set, and defaults that are certain. */
  | "optionReadback"
  /** `blockSource`, `unblockSource`: a group without some of its senders. */
  | "blockSource"
  /** Options beyond address reuse, broadcast, buffer sizes, TTL and multicast: `IP_TOS`, `SO_PRIORITY`, … */
  | "allOptions"
  /** A receive call can look again and again before it waits: the option `busyPoll`. */
  | "busyPoll"
  /** Sockets that another process opened: the option `fd`. */
  | "descriptors"
  /** Options that have no name here, by their numbers and bytes, and those of real kernels: `SO_MAX_PACING_RATE`, … */
  | "kernelOptions";

export type Capabilities = Readonly<Record<Feature, Capability>>;

/** For a driver's table of capabilities. */
export const available: Capability = Object.freeze({ available: true });

/** For a driver's table of capabilities: why the feature is missing, and which driver has it. */
export function unavailable(reason: string): Capability {
  return Object.freeze({ available: false, reason });
}
