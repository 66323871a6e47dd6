/// <reference types="node" preserve="true" />
/** What is said in datagrams, over any `Socket`. */

export {
  type PathMtuOptions,
  type PathMtuProbe,
  type PathMtuResult,
  type ProbeOutcome,
  probePathMtu,
} from "./path-mtu.js";
