/// <reference types="node" preserve="true" />
/** A bad network between real sockets: a UDP relay that loses, delays, duplicates and corrupts as it is told. */

export type {
  GilbertElliott,
  LinkDirections,
  LinkInput,
  LinkSettings,
  ProfileName,
} from "../sim/link/settings.js";
export type { ProxyOptions } from "./options.js";
export type { ProxyRule, RelayRule, RelayedDatagram, RuleStats } from "./rules.js";
export { type Relay, proxy } from "./relay.js";
export type { ClientStats, DirectionStats, RelayStats, TargetStats } from "./stats.js";
