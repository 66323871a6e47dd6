import { outOfRange, wrongType } from "../../core/errors/errors.js";
import { type HostAddress, bytesOf, isWithin, readHostAddress } from "./addresses.js";
import type { Node } from "./node.js";

/** The addresses of a host or a router: at least one. The prefix length follows a slash; without it, it is 24 or 64. */
export interface NodeOptions {
  /** Such as `"10.0.0.2"` or `"fd00::2/64"`. */
  readonly address?: string | undefined;
  /** Several addresses, in place of `address`. */
  readonly addresses?: readonly string[] | undefined;
}

/** Which node of a network has which address. */
export class AddressBook {
  readonly #owners = new Map<string, Node>();
  /** Directed broadcast addresses of all networks that a node is in. */
  readonly #broadcasts = new Map<string, HostAddress>();
  #routerAddresses = 0;

  /**
   * Reads the addresses of a new node.
   *
   * @throws `TypeError`, `RangeError` naming `where`: for invalid addresses, and for those that another node has.
   */
  read(options: unknown, where: string): HostAddress[] {
    if (typeof options !== "object" || options === null)
      throw wrongType(`${where}: options`, "an object", options);
    const { address, addresses } = options as NodeOptions;
    if (address !== undefined && addresses !== undefined) {
      throw outOfRange(`${where}: address`, "left out if addresses is given", address);
    }
    const given: unknown = addresses ?? (address === undefined ? [] : [address]);
    if (!Array.isArray(given)) throw wrongType(`${where}: addresses`, "an array of IP addresses", given);
    const read = given.map((each) => readHostAddress(each, `${where}: address`));
    for (const [index, { host }] of read.entries()) {
      const owner =
        this.#owners.get(host)?.name ??
        (read.findIndex((each) => each.host === host) < index ? "it" : undefined);
      if (owner !== undefined)
        throw outOfRange(`${where}: address`, `an address that is not in use (${owner} has it)`, host);
    }
    return read;
  }

  /**
   * Addresses for the families of which a router has none: it needs one of each as the source of its ICMP errors. They are
   * from the networks for measurements (RFC 2544, RFC 5180).
   */
  fillIn(given: readonly HostAddress[], where: string): HostAddress[] {
    for (;;) {
      const index = ++this.#routerAddresses;
      const texts = [
        `198.${18 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}/15`,
        `2001:2::${index.toString(16)}/48`,
      ];
      const made = texts.map((text) => readHostAddress(text, where));
      if (made.some(({ host }) => this.#owners.has(host))) continue;
      return made.filter(({ version }) => !given.some((each) => each.version === version));
    }
  }

  /** Gives addresses to a node. @throws `RangeError` if another node has one of them. */
  add(node: Node, addresses: readonly HostAddress[]): void {
    for (const address of addresses) {
      this.claim(address.host, node);
      if (address.broadcast !== undefined) this.#broadcasts.set(address.broadcast, address);
    }
  }

  /** Gives one more address to a node. @throws `RangeError` if another node has it. */
  claim(host: string, node: Node): void {
    const owner = this.#owners.get(host);
    if (owner && owner !== node)
      throw outOfRange(
        `address of ${node.name}`,
        `an address that is not in use (${owner.name} has it)`,
        host,
      );
    this.#owners.set(host, node);
  }

  /** The node that has an address. */
  owner(address: string): Node | undefined {
    return this.#owners.get(address);
  }

  /** Whether an address is the directed broadcast (RFC 919) of a network that some node is in, and that `source` is in. */
  isBroadcast(address: string, source?: string): boolean {
    const network = this.#broadcasts.get(address);
    if (!network || this.#owners.has(address)) return false;
    return source === undefined || isWithin(bytesOf(source), network);
  }
}
