import { networkInterfaces } from "node:os";

import { type Endpoint, destinationOf, isOverIPv4 } from "../core/address.js";
import { sameHost } from "../core/hosts.js";
import { parseLiteral } from "../core/ip.js";
import { kernelStack } from "./choice.js";

/**
 * What tells whether datagrams to an address come to the socket of this machine that is bound to `own`. The addresses of
 * this machine are asked for once, if they are needed: use it for one check, or for one batch.
 */
export function ownAddresses(own: Endpoint): (to: Endpoint) => boolean {
  const { interfaceNumber } = kernelStack();
  let hosts: readonly string[] | undefined;
  return (to) => {
    if (to.port !== own.port) return false;
    const { host } = destinationOf(to);
    const everyIPv4 = sameHost(own.host, "0.0.0.0");
    if (!everyIPv4 && own.host !== "::") return sameHost(host, own.host, interfaceNumber);
    // A socket on every IPv6 interface hears IPv4 too, and one on every IPv4 interface hears nothing else.
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
