import { type Capabilities, available, unavailable } from "../../core/capabilities.js";
import type { Stack } from "../../core/driver/driver.js";
import { OSError } from "../../core/errors/errors.js";
import { Ledger } from "../../core/ledger/ledger.js";
import type { NetworkContext } from "../node/context.js";
import type { Random } from "../random.js";
import type { VirtualTime } from "../time/virtual-time.js";
import { SimDriver } from "./driver.js";
import type { Ip } from "./ip.js";

const alone = unavailable("the simulated network takes datagrams one by one: only real kernels have this");

const noDescriptors = "the simulated network has no descriptors: the native driver adopts them";

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
  blockSource: available,
  optionReadback: available,
  allOptions: available,
  descriptors: unavailable(noDescriptors),
  busyPoll: unavailable(
    "in the simulated network no time passes while a program runs: the native driver has it",
  ),
  kernelOptions: unavailable(
    "the simulated network has no kernel to pass options to: the native driver does",
  ),
});

/** What the stack of a host is made with. */
export interface SimStackConfig {
  readonly context: NetworkContext;
  readonly time: VirtualTime;
  readonly ip: Ip;
  readonly random: Random;
  readonly resolve: Stack["resolve"];
  readonly opened: (driver: SimDriver) => void;
  readonly closed: (driver: SimDriver) => void;
}

/** Makes the stack of one host, which opens its sockets. */
export function simStack(config: SimStackConfig): Stack {
  const { context, time, ip, random, resolve, opened, closed } = config;
  const rank = context.nextRank();
  return {
    name: "sim",
    clock: time.clock,
    capabilities,
    ledger: new Ledger(capabilities),
    random: () => random.uint32(),
    resolve,
    interfaceNumber: (name) => ip.routing.interface(name)?.index,
    open(family, options, events) {
      if (options.fd !== undefined) throw new OSError("ENOTSUP", { syscall: "socket", text: noDescriptors });
      const driver = new SimDriver({ context, ip, rank, capabilities, family, options, events, closed });
      opened(driver);
      return driver;
    },
  };
}
