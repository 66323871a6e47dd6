import { networkInterfaces } from "node:os";

import { type Endpoint, destinationOf, isOverIPv4 } from "../core/address/address.js";
import { sameHost } from "../core/address/hosts.js";
import { parseLiteral } from "../core/ip.js";
import { kernelStack } from "./choice.js";

/**
 * Returns a function that says whether datagrams to an address reach the socket of this machine that is bound to `own`. It
 * reads the addresses of this machine at most once: use it for one check or one batch.
 */
export function ownAddresses(own: Endpoint): (to: Endpoint) => boolean {
  const { interfaceNumber } = kernelStack();
  let hosts: readonly string[] | undefined;
  return (to) => {
    if (to.port !== own.port) return false;
    const { host } = destinationOf(to);
    const everyIPv4 = sameHost(own.host, "0.0.0.0");
    if (!everyIPv4 && own.host !== "::") return sameHost(host, own.host, interfaceNumber);
    // A socket on every IPv6 interface receives IPv4 too; one on every IPv4 interface receives only IPv4.
    if (everyIPv4 && !isOverIPv4(to)) return false;
    if (isLoopback(host)) return true;
    hosts ??= Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
    return hosts.some((each) => sameHost(each, host));
  };
}

/** Whether an address is 127.0.0.0/8, inside IPv6 too, or `::1`. */
function isLoopback(host: string): boolean {
  return sameHost(host, "::1") || parseLiteral(host.replace(/^::ffff:/, ""))?.bytes[0] === 127;
}
