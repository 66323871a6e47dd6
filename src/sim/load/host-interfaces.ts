import type { NetworkInterfaceInfo } from "node:os";

import { formatLiteral } from "../../core/ip.js";
import type { HostAddress } from "../node/addresses.js";
import type { Interface } from "../node/node.js";

/** An address of a host, and the interface that has it. */
export type PlacedAddress = readonly [address: HostAddress, at: Interface];

/**
 * What `os.networkInterfaces()` returns on a host. The MAC addresses are made from the first address of the host and the number
 * of the interface. `::1` is there if the host has an IPv6 address.
 */
export function networkInterfaces(placed: readonly PlacedAddress[]): Record<string, NetworkInterfaceInfo[]> {
  const lo = [info("127.0.0.1", 8, 32, noMac, true)];
  if (placed.some(([{ version }]) => version === 6)) lo.push(info("::1", 128, 128, noMac, true));
  const found: Record<string, NetworkInterfaceInfo[]> = { lo };
  for (const [{ host, prefix, bytes }, at] of placed) {
    const mac = macOf(placed, at);
    (found[at.name] ??= []).push(info(host, prefix, bytes.length * 8, mac, at.name === "lo"));
  }
  return found;
}

const noMac = "00:00:00:00:00:00";

function info(
  address: string,
  prefix: number,
  bits: number,
  mac: string,
  internal: boolean,
): NetworkInterfaceInfo {
  const cidr = `${address}/${prefix}`;
  const mask = Uint8Array.from({ length: bits / 8 }, (_, index) => {
    const ones = Math.min(8, Math.max(0, prefix - index * 8));
    return 256 - 2 ** (8 - ones);
  });
  const common = { address, netmask: formatLiteral(mask), mac, internal, cidr };
  return bits === 32 ? { ...common, family: "IPv4" } : { ...common, family: "IPv6", scopeid: 0 };
}

/** A MAC address of the locally administered ones. Hosts have different addresses, so they have different MAC addresses. */
function macOf(placed: readonly PlacedAddress[], { name, index }: Interface): string {
  if (name === "lo") return noMac;
  const last = placed[0]?.[0].bytes.subarray(-4) ?? [];
  return [0x02, index, ...last].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
