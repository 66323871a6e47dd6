import { Address, type AddressLike } from "./address.js";

/** The largest number of pairs in the cache. When it is full, it is emptied. */
const maxPairs = 4096;

/** An address of the cache, and the pair that it was made of. */
interface Entry {
  readonly host: string;
  readonly port: number;
  readonly address: Address;
  /** The entry that was looked up after this one last time. A loop over many peers finds each there, without a map. */
  next: Entry | undefined;
}

let count = 0;
let byHost = new Map<string, Map<number, Entry>>();
/** The last entry that was looked up. */
let last: Entry | undefined;
/** The host that was last looked up in `byHost`, and its ports. */
let lastHost = "";
let lastPorts: Map<number, Entry> | undefined;

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
  if (last?.port === port && last.host === host) return last.address;
  const likely = last?.next;
  if (likely?.port === port && likely.host === host) {
    last = likely;
    return likely.address;
  }
  if (host !== lastHost || !lastPorts) {
    lastPorts = byHost.get(host);
    lastHost = host;
  }
  // The constructor refuses other types than a string and a number.
  const entry = lastPorts?.get(port) ?? remember(host, port);
  if (last) last.next = entry;
  last = entry;
  return entry.address;
}

function remember(host: string, port: number): Entry {
  const entry: Entry = { host, port, address: new Address(host, port), next: undefined };
  if (count === maxPairs) {
    byHost = new Map();
    lastPorts = undefined;
    count = 0;
  }
  count++;
  const ports = byHost.get(host);
  if (ports) ports.set(port, entry);
  else byHost.set(host, new Map([[port, entry]]));
  return entry;
}
