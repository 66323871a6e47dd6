import type { Endpoint } from "../address/address.js";

/** The ancillary data of one datagram (cmsg(3)). Each field replaces the socket's option for this datagram. */
export interface Ancillary {
  /** The local address that the datagram is sent from. Its port is ignored: the socket's port is always used. */
  readonly source: Endpoint | undefined;
  /** The name or the number of the network interface through which the datagram leaves. */
  readonly interface: string | undefined;
  /** 1 to 255. */
  readonly ttl: number | undefined;
  /** The whole byte: DSCP and ECN. */
  readonly tos: number | undefined;
  /** The lower two bits of the TOS byte, if `tos` is `undefined`. */
  readonly ecn: number | undefined;
  /** The datagram is sent without fragments, even if it is larger than the known path MTU. */
  readonly probe: boolean;
}

/** Whether two datagrams can be part of one run, as far as their ancillary data decide. */
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
