import { outOfRange, wrongType } from "../../core/errors/errors.js";
import { refuseUnknown } from "../../core/errors/fields.js";
import { nsPerMs } from "../time/event.js";
import { bytesOf, isWithin, readPrefix } from "./addresses.js";
import type { Filtering, NatConfig } from "./nat.js";

/** How a router translates addresses (RFC 4787). */
export interface NatOptions {
  /**
   * The IPv4 networks inside the NAT. Their packets to other networks are translated. The outside address is in none of them.
   * @default the private networks 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16 (RFC 1918)
   */
  readonly inside?: readonly string[] | undefined;
  /**
   * Milliseconds without traffic in both directions after which a mapping is forgotten: above 0 and up to 10^9.
   * @default 30,000, as on Linux if no answer came (`nf_conntrack_udp_timeout`)
   */
  readonly mappingTimeoutMs?: number | undefined;
  /** Which outside peers may send in through a mapping. @default "address-and-port-dependent" */
  readonly filtering?: Filtering | undefined;
}

const filters: readonly Filtering[] = [
  "endpoint-independent",
  "address-dependent",
  "address-and-port-dependent",
];

/**
 * Checks the options of a NAT.
 *
 * @param address the outside address of the NAT.
 * @throws `TypeError`, `RangeError` naming `where` and the field.
 */
export function readNat(given: unknown, address: string, where: string): NatConfig {
  if (given !== true && (typeof given !== "object" || given === null)) {
    throw wrongType(`${where}: nat`, "true or an object", given);
  }
  const options: NatOptions = given === true ? {} : given;
  refuseUnknown(options, ["inside", "mappingTimeoutMs", "filtering"], `${where}: nat: a field`);
  const { inside = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], mappingTimeoutMs = 30_000 } = options;
  const { filtering = "address-and-port-dependent" } = options;
  if (!Array.isArray(inside)) throw wrongType(`${where}: nat.inside`, "an array of networks", inside);
  if (typeof mappingTimeoutMs !== "number") {
    throw wrongType(`${where}: nat.mappingTimeoutMs`, "milliseconds", mappingTimeoutMs);
  }
  if (!(mappingTimeoutMs > 0 && mappingTimeoutMs <= 1e9)) {
    throw outOfRange(`${where}: nat.mappingTimeoutMs`, "milliseconds above 0, up to 10^9", mappingTimeoutMs);
  }
  if (!filters.includes(filtering)) {
    throw outOfRange(`${where}: nat.filtering`, `one of ${filters.join(", ")}`, filtering);
  }
  const networks = inside.map((each) => readPrefix(each, `${where}: nat.inside`));
  for (const [index, { bytes }] of networks.entries()) {
    if (bytes.length !== 4) throw outOfRange(`${where}: nat.inside`, "networks of IPv4", inside[index]);
  }
  if (networks.some((network) => isWithin(bytesOf(address), network))) {
    const outside = `networks without its own address ${address}, which is what the outside sees`;
    throw outOfRange(`${where}: nat.inside`, outside, inside.join(", "));
  }
  return { address, inside: networks, timeoutNs: Math.round(mappingTimeoutMs * nsPerMs), filtering };
}
