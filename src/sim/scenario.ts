import { outOfRange, wrongType } from "../core/errors/errors.js";
import { refuseUnknown } from "../core/errors/fields.js";
import type { Link } from "./link/link.js";
import { type ScenarioName, scenarios } from "./link/scenarios.js";
import type { Network } from "./network.js";
import type { Router } from "./node/router.js";
import { maxDurationMs } from "./time/event.js";

/** What a scenario needs in addition to a link. */
export interface ScenarioOptions {
  /** The NAT router of the client. Only `rebind-port` and `rebind-addr` use it. */
  readonly nat?: Router | undefined;
  /** The outside addresses that the NAT takes in turn, again and again. @default 198.19.0.1 to 198.19.0.4 (RFC 2544) */
  readonly addresses?: readonly string[] | undefined;
}

/**
 * Applies a scenario to a link: its settings now, and its faults at their times from now on.
 *
 * @param link from the client, or its NAT, to the server.
 * @returns a function that ends the faults; the settings stay.
 * @throws `RangeError` for an unknown scenario, and as `link.set()`; `TypeError` for a scenario that rebinds, without `nat`.
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
  // The black hole happens once: the next would begin after the longest possible time.
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
