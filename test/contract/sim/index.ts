/** The package as the contract suite imports it over the simulated network: `socket()` is that of a host. */

import type { Family, Socket, SocketOptions, Totals } from "../../../src/index.js";
import { theHost } from "./host.js";

export * from "../../../src/index.js";

/** Has the arguments and the result of the package's `socket()`. */
export function socket(family?: Family, type?: 2, options?: SocketOptions): Socket {
  return theHost().socket(family, type, options);
}

export function stats(): Totals {
  return theHost().stats();
}
