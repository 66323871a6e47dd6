import Module from "node:module";
import os from "node:os";

import { makeModule } from "../../dgram/socket.js";
import { networkInterfaces } from "./host-interfaces.js";
import { hostDns } from "./host-names.js";
import type { HostTimers } from "./host-timers.js";
import type { HostSystem } from "./host-system.js";

/** Modules by their names without `node:`. */
export type Builtins = Readonly<Record<string, object>>;

/** Makes the modules of Node.js that are those of the host. All others are those of the process. */
export function hostBuiltins(
  system: HostSystem,
  timers: HostTimers,
  createRequire: (file: string | URL) => unknown,
): Builtins {
  const module = makeModule(system.sockets);
  const dgram = { ...module, default: module };
  const { dns, promises } = hostDns(system.names, (run) => {
    system.clock.turn(run);
  });
  // Programs call it as a class too.
  const moduleModule: object = new Proxy(Module, {
    get: (target, key, receiver): unknown => {
      if (key === "createRequire") return createRequire;
      return key === "Module" ? moduleModule : Reflect.get(target, key, receiver);
    },
  });
  return {
    dgram,
    "datagram/dgram": dgram,
    dns,
    "dns/promises": promises,
    os: {
      ...os,
      hostname: () => system.name,
      networkInterfaces: () => networkInterfaces(system.placed()),
    },
    timers: timers.timers,
    "timers/promises": timers.promises,
    module: moduleModule,
  };
}
