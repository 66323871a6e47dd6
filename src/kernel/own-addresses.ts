import { networkInterfaces } from "node:os";

import { type Endpoint, destinationOf, isOverIPv4 } from "../core/address/address.js";
import { sameHost } from "../core/address/same-host.js";
import { parseLiteral } from "../core/ip.js";
import { kernelStack } from "./choice.js";

/**
 * Returns a function that tells whether datagrams to an address reach the socket of this machine that is bound to `own`. The
 * function reads the addresses of this machine at most once, so use it only for one check or one batch.
 */
export function ownAddresses(own: Endpoint): (to: Endpoint) => boolean {
  const { interfaceNumber } = kernelStack();
  let hosts: readonly string[] | undefined;
  return (to) => {
    if (to.port !== own.port) return false;
    const { host } = destinationOf(to);
    const everyIPv4 = sameHost(own.host, "0.0.0.0");
    if (!everyIPv4 && own.host !== "::") return sameHost(host, own.host, interfaceNumber);
    // A socket that is bound to `::` receives IPv4 too. A socket that is bound to `0.0.0.0` receives only IPv4.
    if (everyIPv4 && !isOverIPv4(to)) return false;
    if (isLoopback(host)) return true;
    hosts ??= Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
    return hosts.some((each) => sameHost(each, host));
  };
}

/** Whether an address is in 127.0.0.0/8, also inside IPv6 (`::ffff:`), or is `::1`. */
function isLoopback(host: string): boolean {
  return sameHost(host, "::1") || parseLiteral(host.replace(/^::ffff:/, ""))?.bytes[0] === 127;
}
