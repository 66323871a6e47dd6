import type { Endpoint } from "../address/address.js";
import type { Ancillary } from "./ancillary.js";

/** How datagrams came. What is `undefined` the system did not tell. */
export interface Metadata {
  /** The local address that they came to. */
  readonly destination: Endpoint | undefined;
  /** The name of the network interface. */
  readonly interface: string | undefined;
  readonly ttl: number | undefined;
  /** The whole byte: DSCP and ECN. */
  readonly tos: number | undefined;
  /** Nanoseconds since the epoch. */
  readonly timestamp: bigint | undefined;
  /** How many the system dropped just before the first of them, at least. */
  readonly lostBefore: number | undefined;
  /** How an answer leaves from where they came to. */
  readonly answer: Ancillary | undefined;
  /** The same of those behind the first of a run: nothing was lost between them. */
  readonly withoutLoss: Metadata;
}
