/// <reference types="node" preserve="true" />
/**
 * Protocols that work over any `Socket`. Now it is one: the search for the path MTU (`path-mtu.ts`), which sends probes and
 * matches their answers (`probes.ts`).
 *
 * @module message
 */

export {
  type PathMtuOptions,
  type PathMtuProbe,
  type PathMtuResult,
  type ProbeOutcome,
  probePathMtu,
} from "./path-mtu.js";
