/** The package as the contract imports it over the example driver. */

import type { Family, Socket, SocketOptions, Totals } from "../../../src/index.js";
import { openSocket } from "../../../src/core/socket/opening.js";
import { exampleStack } from "./driver.js";

export * from "../../../src/index.js";

export function socket(family: Family = 2, type = 2, options: SocketOptions = {}): Socket {
  return openSocket(() => exampleStack, family, type, options);
}

export function stats(): Totals {
  return { ...exampleStack.ledger.totals(), host: undefined };
}
