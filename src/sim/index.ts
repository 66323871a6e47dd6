/// <reference types="node" preserve="true" />
/**
 * A network in memory: hosts, links and routers, with virtual time, for the sockets of `datagram`.
 *
 * `network.ts` joins the parts. `time/` has the virtual clock and runs programs in it. `packet/` has packets and fragments.
 * `link/` decides what a link does to packets. `node/` has routers, switches and what hosts share with them. `host/` has
 * the IP and UDP of one host, as on Linux. `load/` runs packages for Node.js on a host. `trace/` records each packet on each link.
 * `replay.ts` sends the datagrams of capture files.
 *
 * @module sim
 */

export type { Rule } from "./link/direction.js";
export type { BlackHole, Link } from "./link/link.js";
export { type Firewall, type Profile, profiles } from "./link/profiles.js";
export { type Scenario, type ScenarioName, scenarios } from "./link/scenarios.js";
export type {
  GilbertElliott,
  LinkDirections,
  LinkInput,
  LinkSettings,
  ProfileName,
} from "./link/settings.js";
export { Network, type NetworkOptions, type RouterOptions } from "./network.js";
export type { NodeOptions } from "./node/address-book.js";
export type { Host } from "./host/host.js";
export type { LoadOptions } from "./load/load.js";
export type { Filtering } from "./node/nat.js";
export type { NatOptions } from "./node/nat-options.js";
export type { Router } from "./node/router.js";
export type { Switch } from "./node/switch.js";
export type { IcmpError, Packet, UdpDatagram } from "./packet/packet.js";
export type { NetworkReplayOptions, NetworkReplayStats } from "./replay.js";
export { type ScenarioOptions, applyScenario } from "./scenario.js";
export type { EventuallyOptions } from "./time/eventually.js";
export type { RunOptions } from "./time/virtual-time.js";
export { type StuckCode, StuckError } from "./time/stuck-error.js";
export type { Fate, TraceEntry } from "./trace/entry.js";
export type { Trace, TraceLimits } from "./trace/trace.js";
