/** The features that drivers have or lack. */

/** Whether a driver has a feature here, and the reason if not. */
export type Capability =
  | { readonly available: true }
  | { readonly available: false; readonly reason: string };

/** The features in which drivers differ. */
export type Feature =
  /** Sends and receives many datagrams in one system call. */
  | "batching"
  /** Sends a run of datagrams of equal size to one peer as one segmented send: `UDP_SEGMENT`, udp(7). */
  | "segmentation"
  /** Receives a run of datagrams of equal size from one peer as one packet, and splits it: `UDP_GRO`, udp(7). */
  | "coalescing"
  /** Unread datagrams wait in the kernel's buffer. A program that reads slowly uses no more memory. */
  | "kernelQueue"
  /** `stats().droppedKernel` counts the datagrams that were dropped because the receive buffer was full. */
  | "kernelDropCount"
  /** ICMP errors are reported with their kind and their sender, on unconnected sockets too. */
  | "icmpErrors"
  /** Datagrams have their destination, interface, timestamp, TTL and TOS; `sendmsg` sets source, interface, TTL and TOS. */
  | "packetInfo"
  /** `pathMtu`, `maxPayload`, `dontFragment`, and the count of datagrams that are sent in fragments. */
  | "pathMtu"
  /** `sendto` to another address than the peer, on a connected socket. */
  | "sendtoWhileConnected"
  /** `SO_REUSEPORT`. */
  | "reusePort"
  /** `getsockopt` asks the kernel. Without this feature, it returns the value that was set, or a default that is certain. */
  | "optionReadback"
  /** `blockSource` and `unblockSource`: receive a group, but not from some senders. */
  | "blockSource"
  /** Options beyond address reuse, broadcast, buffer sizes, TTL and multicast: `IP_TOS`, `SO_PRIORITY`, … */
  | "allOptions"
  /** A receive call can look again and again before it waits: the option `busyPoll`. */
  | "busyPoll"
  /** The option `fd`: use a socket that another process opened. */
  | "descriptors"
  /** Options without a name here, by their numbers and bytes, and options that only real kernels have: `SO_MAX_PACING_RATE`, … */
  | "kernelOptions";

/** For each feature, whether the driver of a socket has it here. */
export type Capabilities = Readonly<Record<Feature, Capability>>;

/** The entry for a feature that a driver has. */
export const available: Capability = Object.freeze({ available: true });

/** Returns the entry for a feature that a driver lacks. `reason` says why, and which driver has the feature. */
export function unavailable(reason: string): Capability {
  return Object.freeze({ available: false, reason });
}

/** Whether `droppedKernel` of a socket is a minimum: the kernel counts merged datagrams that it drops as one. */
export function dropCountIsMinimum({ coalescing }: Pick<Capabilities, "coalescing">): boolean {
  return coalescing.available;
}
