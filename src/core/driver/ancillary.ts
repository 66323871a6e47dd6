import type { Endpoint } from "../address/address.js";

/** How one datagram leaves, where that is not as its socket has it. */
export interface Ancillary {
  /** The local address that it comes from; the port is the socket's, whatever this one says. */
  readonly source: Endpoint | undefined;
  /** The name or the number of the network interface that it leaves by. */
  readonly interface: string | undefined;
  /** 1 to 255. */
  readonly ttl: number | undefined;
  /** The whole byte: DSCP and ECN. */
  readonly tos: number | undefined;
  /** The lower two bits of it alone, where the byte is not named. */
  readonly ecn: number | undefined;
  /** Never in fragments, whatever is known of the path. */
  readonly probe: boolean;
}

/** Whether two datagrams leave in the same way. */
export function leaveAlike(one: Ancillary | undefined, other: Ancillary | undefined): boolean {
  if (one === other) return true;
  if (!one || !other || one.probe || other.probe) return false;
  return (
    one.source?.host === other.source?.host &&
    one.interface === other.interface &&
    one.ttl === other.ttl &&
    one.tos === other.tos &&
    one.ecn === other.ecn
  );
}
