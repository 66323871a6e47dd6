import type { Endpoint } from "../address/address.js";
import type { Ancillary } from "./ancillary.js";

/** Metadata of received datagrams, except the source. A field is `undefined` if the system did not report it. */
export interface Metadata {
  /** The local address that they were sent to. */
  readonly destination: Endpoint | undefined;
  /** The name of the network interface. */
  readonly interface: string | undefined;
  readonly ttl: number | undefined;
  /** The whole byte: DSCP and ECN. */
  readonly tos: number | undefined;
  /** Nanoseconds since the epoch. */
  readonly timestamp: bigint | undefined;
  /** How many datagrams the system dropped just before the first of them, at least. */
  readonly lostBefore: number | undefined;
  /** How an answer is sent from their destination. */
  readonly answer: Ancillary | undefined;
  /** The same metadata with a `lostBefore` of 0, for the datagrams after the first one of a run. */
  readonly withoutLoss: Metadata;
}
