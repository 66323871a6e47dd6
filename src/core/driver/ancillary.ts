import type { Endpoint } from "../address/address.js";

/** What one datagram has of its own, in place of the options of its socket (ancillary data, cmsg(3)). */
export interface Ancillary {
  /** The local address that it comes from. The port is ignored: it is always the port of the socket. */
  readonly source: Endpoint | undefined;
  /** The name or the number of the network interface that it leaves by. */
  readonly interface: string | undefined;
  /** 1 to 255. */
  readonly ttl: number | undefined;
  /** The whole byte: DSCP and ECN. */
  readonly tos: number | undefined;
  /** The lower two bits of the TOS byte, if `tos` is `undefined`. */
  readonly ecn: number | undefined;
  /** Sent whole and never in fragments, whatever path MTU is known. */
  readonly probe: boolean;
}

/** Whether two datagrams may leave in one system message. */
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
