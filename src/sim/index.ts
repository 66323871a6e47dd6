/// <reference types="node" preserve="true" />
/** A network in memory: hosts, links and routers, with virtual time, for the sockets of `datagram`. */

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
export { Network, type NetworkOptions, type NodeOptions, type RouterOptions } from "./network.js";
export type { Host } from "./host/host.js";
export type { Filtering } from "./node/nat.js";
export type { NatOptions } from "./node/nat-options.js";
export type { Router } from "./node/router.js";
export type { Switch } from "./node/switch.js";
export type { IcmpError, Packet, UdpDatagram } from "./packet/packet.js";
export { type ScenarioOptions, applyScenario } from "./scenario.js";
export type { EventuallyOptions } from "./time/eventually.js";
export type { RunOptions } from "./time/virtual-time.js";
export { StuckError } from "./time/stuck-error.js";
export type { Fate, TraceEntry } from "./trace/entry.js";
export type { Trace, TraceLimits } from "./trace/trace.js";
