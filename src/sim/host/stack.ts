import { type Capabilities, available, unavailable } from "../../core/capabilities.js";
import type { Stack } from "../../core/driver.js";
import { Ledger } from "../../core/stats.js";
import type { Fabric } from "../node/fabric.js";
import type { Random } from "../random.js";
import type { VirtualTime } from "../time/virtual-time.js";
import { SimDriver } from "./driver.js";
import type { Ip } from "./ip.js";

const alone = unavailable("the simulated network takes datagrams one by one: this is of real kernels");

const capabilities: Capabilities = Object.freeze({
  batching: alone,
  segmentation: alone,
  coalescing: alone,
  kernelQueue: available,
  kernelDropCount: available,
  icmpErrors: available,
  packetInfo: available,
  pathMtu: available,
  sendtoWhileConnected: available,
  reusePort: available,
  optionReadback: available,
  allOptions: available,
});

/** What the sockets of one host run on. */
export interface SimStackParts {
  readonly fabric: Fabric;
  readonly time: VirtualTime;
  readonly ip: Ip;
  readonly random: Random;
  readonly resolve: Stack["resolve"];
}

/** The stack of one host, and who waits on it for what. */
export function simStack({ fabric, time, ip, random, resolve }: SimStackParts): {
  stack: Stack;
  waiting: () => readonly string[];
} {
  const open = new Set<SimDriver>();
  const rank = fabric.rank();
  const closed = (driver: SimDriver): void => void open.delete(driver);
  const stack: Stack = {
    name: "sim",
    clock: time.clock,
    capabilities,
    ledger: new Ledger(capabilities),
    random: () => random.uint32(),
    resolve,
    open(family, options, events) {
      const driver = new SimDriver({ fabric, ip, rank, capabilities, family, options, events, closed });
      open.add(driver);
      return driver;
    },
  };
  const waiting = (): string[] => [...open].flatMap(({ waiting }) => (waiting === undefined ? [] : [waiting]));
  return { stack, waiting };
}
