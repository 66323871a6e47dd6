import { outOfRange, wrongType } from "../core/errors/errors.js";
import { refuseUnknown } from "../core/errors/fields.js";
import type { Link } from "./link/link.js";
import { type ScenarioName, scenarios } from "./link/scenarios.js";
import type { Network } from "./network.js";
import type { Router } from "./node/router.js";
import { maxDurationMs } from "./time/event.js";

/** What a scenario needs beside a link. */
export interface ScenarioOptions {
  /** The router before the client, with a NAT: `rebind-port` and `rebind-addr` are about it, others leave it alone. */
  readonly nat?: Router | undefined;
  /** The outside addresses that it takes, one after the other, over and over. @default 198.19.0.1 to 198.19.0.4 (RFC 2544) */
  readonly addresses?: readonly string[] | undefined;
}

/**
 * Gives a link the settings of a scenario, and lets happen in time what belongs to it, from now on.
 *
 * @param link from the client, or its NAT, to the server.
 * @returns the call that ends what happens in time; the settings stay.
 * @throws `RangeError` for a scenario that there is not, and as `link.set()`; `TypeError` for one that rebinds, without `nat`.
 */
export function applyScenario(
  network: Network,
  link: Link,
  name: ScenarioName,
  options: ScenarioOptions = {},
): () => void {
  if (typeof options !== "object" || (options as unknown) === null)
    throw wrongType("options", "an object", options);
  refuseUnknown(options, ["nat", "addresses"], "options: a field");
  const { nat, addresses = ["198.19.0.1", "198.19.0.2", "198.19.0.3", "198.19.0.4"] } = options;
  const names = Object.keys(scenarios);
  if (!names.includes(name)) throw outOfRange("scenario", `one of ${names.join(", ")}`, name);
  const { up, down, blackHole, rebind } = scenarios[name];
  if (rebind && !nat) throw wrongType(`nat of the scenario ${name}`, "a router with a NAT", nat);
  link.set({ up, down });
  // As good as never again.
  if (blackHole)
    link.blackHole({ firstMs: blackHole.firstMs, onMs: blackHole.lengthMs, offMs: maxDurationMs });
  let cancel = (): void => undefined;
  let times = 0;
  const again = (afterMs: number, everyMs: number, toAddress: boolean): void => {
    cancel = network.clock.after(afterMs, () => {
      nat?.rebind(toAddress ? addresses[times++ % addresses.length] : undefined);
      again(everyMs, everyMs, toAddress);
    });
  };
  if (rebind) again(rebind.firstMs, rebind.everyMs, rebind.address);
  return () => {
    cancel();
    if (blackHole) link.mend();
  };
}
