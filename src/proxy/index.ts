/// <reference types="node" preserve="true" />
/**
 * A bad network between real sockets: a UDP relay that loses, delays, duplicates and corrupts datagrams by its settings.
 *
 * `relay.ts` starts a relay and joins its parts. Each client (`clients.ts`) has a socket connected to each target
 * (`upstream.ts`, `target.ts`). The datagrams of a direction (`direction.ts`) pass the rules (`active-rules.ts`, `rules.ts`)
 * and then a simulated link. `loops.ts` finds datagrams that come back to their relay.
 * `recording.ts` writes a capture file of both sides, by what `observer.ts` is told.
 *
 * @module proxy
 */

export type {
  GilbertElliott,
  LinkDirections,
  LinkInput,
  LinkSettings,
  ProfileName,
} from "../sim/link/settings.js";
export type { ProxyOptions, RelayRecordOptions } from "./options.js";
export type { ProxyRule, RelayRule, RelayedDatagram, RuleStats } from "./rules.js";
export { type Relay, proxy } from "./relay.js";
export type { ClientStats, DirectionStats, RelayStats, TargetStats } from "./stats.js";
