import type { Clock } from "../../core/driver/driver.js";
import type { SocketHost } from "../../dgram/types.js";
import type { PlacedAddress } from "./host-interfaces.js";
import type { HostNames } from "./host-names.js";

/** What a program needs of its host. */
export interface HostSystem {
  readonly name: string;
  readonly sockets: SocketHost;
  readonly clock: Clock;
  readonly names: HostNames;
  /** The addresses of the host at present. */
  readonly placed: () => readonly PlacedAddress[];
}
