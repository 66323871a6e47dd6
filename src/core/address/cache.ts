import { Address, type AddressLike } from "./address.js";

/** The largest number of pairs in the cache. When it is full, it is emptied. */
const maxPairs = 4096;

let count = 0;
let byHost = new Map<string, Map<number, Address>>();
let last: Address | undefined;
/** The last entry of `byHost` that was looked up. */
let lastHost = "";
let lastPorts: Map<number, Address> | undefined;

/**
 * `Address.from` with a cache of `[host, port]` pairs. A loop that passes the same pair to every call makes only one
 * `Address`. Addresses are immutable, so all sockets of a thread share the cache.
 */
export function knownAddress(input: AddressLike): Address {
  if (!Array.isArray(input) || input.length !== 2) return Address.from(input);
  const pair = input as readonly [string, number];
  return sharedAddress(pair[0], pair[1]);
}

/** Returns `new Address(host, port)`, or an equal address from the cache. */
export function sharedAddress(host: string, port: number): Address {
  if (last?.host === host && last.port === port) return last;
  if (host !== lastHost || !lastPorts) {
    lastPorts = byHost.get(host);
    lastHost = host;
  }
  // The constructor refuses other types than a string and a number.
  last = lastPorts?.get(port) ?? remember(host, port);
  return last;
}

function remember(host: string, port: number): Address {
  const address = new Address(host, port);
  if (count === maxPairs) {
    byHost = new Map();
    lastPorts = undefined;
    count = 0;
  }
  count++;
  const ports = byHost.get(host);
  if (ports) ports.set(port, address);
  else byHost.set(host, new Map([[port, address]]));
  return address;
}
