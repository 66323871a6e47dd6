import type { Family } from "../core/address/address.js";
import { Address, type Endpoint } from "../core/address/address.js";
import { AF_INET } from "../core/constants.js";
import type { Clock } from "../core/driver/driver.js";
import { OSError, outOfRange, wholeNumber, wrongType } from "../core/errors/errors.js";
import { refuseUnknown } from "../core/errors/fields.js";
import { LinkDirection } from "./link/direction.js";
import { type CheckedLink, checkLink } from "./link/check.js";
import { Link } from "./link/link.js";
import type { Firewall } from "./link/profiles.js";
import type { LinkInput } from "./link/settings.js";
import { type HostAddress, bytesOf, isWithin, readHostAddress } from "./node/addresses.js";
import type { NetworkContext } from "./node/context.js";
import { Host } from "./host/host.js";
import { Nat } from "./node/nat.js";
import { type NatOptions, readNat } from "./node/nat-options.js";
import type { Node } from "./node/node.js";
import { Partitions, nameOf } from "./node/partitions.js";
import { Router } from "./node/router.js";
import { Switch } from "./node/switch.js";
import { Random } from "./random.js";
import type { EventuallyOptions } from "./time/eventually.js";
import { type RunOptions, VirtualTime } from "./time/virtual-time.js";
import { Trace, type TraceLimits } from "./trace/trace.js";
import { withSeed } from "./with-seed.js";

/** What a network is made with. */
export interface NetworkOptions {
  /** A uint32: another seed is another run, the same seed the same run. @default 1 */
  readonly seed?: number | undefined;
  /**
   * Random numbers of the program come from the seed during a run, in the whole thread: `Math.random`, and `randomBytes`,
   * `randomFill`, `randomFillSync`, `randomInt`, `randomUUID` and `getRandomValues` of `node:crypto` and
   * `globalThis.crypto`. Keys and primes still come from Node. @default false
   */
  readonly seedProgram?: boolean | undefined;
  /** How much of the packets is kept to look at. */
  readonly trace?: TraceLimits | undefined;
}

/** The addresses of a host or a router: at least one, each with the bits of its network behind a slash, or 24 and 64. */
export interface NodeOptions {
  /** Such as `"10.0.0.2"` or `"fd00::2/64"`. */
  readonly address?: string | undefined;
  /** Several, in place of one. */
  readonly addresses?: readonly string[] | undefined;
}

/** What a router is made with. */
export interface RouterOptions extends NodeOptions {
  /** What it drops. */
  readonly firewall?: Firewall | undefined;
  /** Passes on what comes from inside in the name of its first IPv4 address; `true` is `{}`. */
  readonly nat?: NatOptions | true | undefined;
}

const nodeFields = ["address", "addresses"];

/**
 * A network in memory: hosts whose sockets are those of `datagram`, joined by links that lose, delay and narrow, in time
 * that jumps over all waiting. One seed gives one run, to the last datagram.
 */
export class Network {
  /** What its random numbers come from. */
  readonly seed: number;
  /** Every packet and its fate. */
  readonly trace: Trace;
  readonly #time = new VirtualTime();
  readonly #nodes = new Map<string, Node>();
  readonly #hosts: Host[] = [];
  readonly #owners = new Map<string, Node>();
  readonly #links = new Map<string, Link>();
  /** The two directions of each link, up first. */
  readonly #directions = new Map<Link, readonly [LinkDirection, LinkDirection]>();
  readonly #partitions = new Partitions();
  /** Directed broadcasts of all networks that some node is in. */
  readonly #broadcasts = new Map<string, HostAddress>();
  readonly #context: NetworkContext;
  /** What the program draws from, where that is seeded. */
  readonly #programRandom: Random | undefined;
  #generation = 0;
  #ranks = 0;
  #numbers = 0;
  #routerAddresses = 0;

  /** @throws `TypeError`, `RangeError` for a seed that is no uint32, and limits that are none. */
  constructor(options: NetworkOptions = {}) {
    if (typeof (options as unknown) !== "object" || (options as unknown) === null)
      throw wrongType("options", "an object", options);
    refuseUnknown(options, ["seed", "seedProgram", "trace"], "options: a field");
    this.seed = wholeNumber("seed", options.seed ?? 1, 0, 0xffff_ffff);
    const { seedProgram = false } = options;
    if (typeof seedProgram !== "boolean") throw wrongType("seedProgram", "true or false", seedProgram);
    if (seedProgram) this.#programRandom = new Random(this.seed, "program");
    this.trace = new Trace(options.trace);
    this.#context = this.#makeContext();
  }

  /** Virtual time, for programs and their timers: it passes only within `run`. */
  get clock(): Clock {
    return this.#time.clock;
  }

  /**
   * Adds a host.
   *
   * @param name which other hosts resolve to its addresses.
   * @throws `TypeError`, `RangeError` for a name or an address that another has, or that is none.
   */
  host(name: string, options: NodeOptions): Host {
    const where = `host ${this.#newName(name, "host")}`;
    const addresses = this.#addresses(options, where);
    refuseUnknown(options, nodeFields, `${where}: a field`);
    if (addresses.length === 0)
      throw outOfRange(`${where}: address`, "an IP address such as 10.0.0.2", undefined);
    const made = new Host(this.#context, this.#time, name, addresses, (host, family) =>
      this.#resolve(host, family),
    );
    this.#hosts.push(made);
    this.#add(made, addresses);
    return made;
  }

  /** Adds a router, which passes packets on between its links. @throws as `host`. */
  router(name: string, options: RouterOptions = {}): Router {
    const where = `router ${this.#newName(name, "router")}`;
    const given = this.#addresses(options, where);
    refuseUnknown(options, [...nodeFields, "firewall", "nat"], `${where}: a field`);
    const { nat, firewall } = options;
    const addresses = [...given, ...this.#missingAddresses(given, where)];
    const hosts = addresses.map(({ host }) => host);
    const outside = hosts.find((address) => !address.includes(":")) as string;
    const translator =
      nat === undefined
        ? undefined
        : new Nat(this.#time, new Random(this.seed, `nat ${where}`), readNat(nat, outside, where));
    const made = new Router(this.#context, name, { addresses: hosts, firewall, nat: translator });
    this.#add(made, addresses);
    return made;
  }

  /** Adds a switch: what hangs on it is one segment, where broadcasts and multicast reach everybody. @throws as `host`. */
  switch(name: string): Switch {
    this.#newName(name, "switch");
    const made = new Switch(this.#context, name);
    this.#add(made, []);
    return made;
  }

  /**
   * Joins two nodes.
   *
   * @param from up is from here, down is back.
   * @param settings both ways alike, `{ up, down }`, or the name of a profile. @default nothing is lost and no time passes
   * @throws `TypeError`, `RangeError` naming the link for nodes of another network, two links between the same two nodes,
   *   a node with itself, bad settings, and an MTU below 1280 at a host that has an IPv6 address (RFC 8200, section 5).
   */
  link(from: Node, to: Node, settings: LinkInput = {}): Link {
    for (const [which, node] of Object.entries({ from, to }) as [string, unknown][]) {
      const name = nameOf(node);
      if (typeof name !== "string" || this.#nodes.get(name) !== node) {
        throw wrongType(`link: ${which}`, "a host, a router or a switch of this network", name);
      }
    }
    const name = `${from.name}–${to.name}`;
    if (from === to || this.#links.has(name) || this.#links.has(`${to.name}–${from.name}`)) {
      throw outOfRange(`link ${name}`, "the only link between two nodes", name);
    }
    const checkMtu = (checked: CheckedLink): void => this.#checkMtu(from, to, checked, name);
    const checked = checkLink(settings, `link ${name}`);
    checkMtu(checked);
    const up = new LinkDirection(this.#context, `${from.name}→${to.name}`, checked.up);
    const down = new LinkDirection(this.#context, `${to.name}→${from.name}`, checked.down);
    const [near, far] = [from.attach(up), to.attach(down)];
    up.setFarEnd(far);
    down.setFarEnd(near);
    const made = new Link(name, up, down, checkMtu, () => this.#time.now);
    this.#links.set(name, made);
    this.#directions.set(made, [up, down]);
    this.#generation++;
    return made;
  }

  /**
   * Parts the network: packets between hosts of different groups are lost, without a word. Hosts of no group reach all.
   *
   * @returns the call that heals it.
   * @throws `TypeError`, `RangeError` for what are no groups of hosts of this network, each host in one.
   */
  partition(...groups: readonly (readonly Host[])[]): () => void {
    return this.#partitions.add("partition", groups, this.#isHost);
  }

  /**
   * Partitions the network in one direction: packets from hosts of the first group to hosts of the second are lost silently.
   *
   * @returns a function that ends the partition.
   * @throws as `partition`.
   */
  partitionOneWay(from: readonly Host[], to: readonly Host[]): () => void {
    return this.#partitions.add("partitionOneWay", [from, to], this.#isHost);
  }

  /**
   * Holds packets at the end of a link, including those on their way, until they are released. Each direction holds 16,384
   * packets and 16 MiB; more are dropped (`"queue full"`).
   *
   * @param direction `"up"` is from the node that was named first. Without it, both.
   * @returns a function that releases them.
   * @throws `TypeError`, `RangeError` for what is no link of this network, and no direction.
   */
  hold(link: Link, direction?: "up" | "down"): () => void {
    const directions = this.#directionsOf(link, direction, "hold");
    for (const each of directions) each.hold();
    return () => {
      for (const each of directions) each.release();
    };
  }

  /**
   * Ends `hold()`: held packets arrive now, in the order in which they were sent.
   *
   * @param direction as for `hold`.
   * @throws as `hold`.
   */
  release(link: Link, direction?: "up" | "down"): void {
    for (const each of this.#directionsOf(link, direction, "release")) each.release();
  }

  /**
   * Executes a program in virtual time: at once, over all waiting. `setTimeout`, `Date` and their kin are virtual meanwhile,
   * in the whole thread. When it has settled, all sockets are closed and time stops: loops of `for await` end, other
   * receive calls that wait are left as they are, as at the end of a process.
   *
   * @param program what runs on all the hosts.
   * @returns what it gives.
   * @throws (rejects) what it throws, with the seed and the line that repeats the run in the message; `StuckError` where it
   *   cannot go on, naming who waits for what; `TypeError`, `RangeError` for options that are none; `Error` while another
   *   run goes on in this thread, or other fake timers are in place.
   */
  run<T>(program: () => Promise<T> | T, options: RunOptions = {}): Promise<T> {
    if (typeof program !== "function") return Promise.reject(wrongType("program", "a function", program));
    const hooks = {
      random: this.#programRandom,
      waiting: () => [...this.#hosts.flatMap((host) => host.waiting()), ...this.#heldPackets()],
      failure: (error: unknown) => withSeed(error, this.seed, this.#time.clock.now()),
      ended: () => this.#close(),
    };
    return this.#time.run(program, hooks, options);
  }

  /**
   * Holds the clock until a promise has settled that virtual time cannot see: of workers, real sockets, `import()`.
   *
   * @returns what it gives; outside of a run the promise itself.
   */
  real<T>(promise: Promise<T>): Promise<T> {
    return this.#time.real(promise);
  }

  /**
   * Waits, in virtual time, until a check passes: until it neither throws nor gives `false`.
   *
   * @throws (rejects) `Error` after `timeoutMs` (10,000), whose `cause` is the last failure, and outside of a run;
   *   `TypeError`, `RangeError` for what is no check, and times that are none.
   */
  eventually(check: () => unknown, options?: EventuallyOptions): Promise<void> {
    return this.#time.eventually(check, options);
  }

  readonly #isHost = (given: unknown): given is Host =>
    given instanceof Host && this.#nodes.get(given.name) === given;

  #directionsOf(link: Link, direction: unknown, call: string): readonly LinkDirection[] {
    const directions = this.#directions.get(link);
    if (!directions) throw wrongType(`${call}: link`, "a link of this network", nameOf(link));
    const [up, down] = directions;
    if (direction === undefined) return directions;
    if (direction !== "up" && direction !== "down")
      throw outOfRange(`${call}: direction`, "up or down", direction);
    return [direction === "up" ? up : down];
  }

  /** For people: what waits for `release()`. */
  #heldPackets(): string[] {
    return [...this.#directions.values()].flat().flatMap(({ name, heldPackets }) => {
      const packets = heldPackets === 1 ? "1 packet" : `${heldPackets} packets`;
      return heldPackets === 0 ? [] : [`${packets} on ${name}: held until network.release()`];
    });
  }

  #makeContext(): NetworkContext {
    const generation = (): number => this.#generation;
    return {
      scheduler: this.#time,
      trace: this.trace,
      get generation() {
        return generation();
      },
      owner: (address) => this.#owners.get(address),
      claim: (address, node) => {
        this.#claim(address, node, node.name);
        this.#generation++;
      },
      nextRank: () => ++this.#ranks,
      nextPacketNumber: () => ++this.#numbers,
      randomStream: (name) => new Random(this.seed, name),
      isBroadcast: (address, source) => {
        const network = this.#broadcasts.get(address);
        if (!network || this.#owners.has(address)) return false;
        return source === undefined || isWithin(bytesOf(source), network);
      },
      isPartitioned: ({ source, destination }, next) =>
        !this.#partitions.isEmpty &&
        this.#partitions.separates(this.#owners.get(source), this.#owners.get(destination) ?? next),
    };
  }

  #newName(name: unknown, what: string): string {
    if (typeof name !== "string") throw wrongType(`name of a ${what}`, "a string", name);
    if (!/^[^\s:/%[\]–→]{1,63}$/.test(name)) {
      throw outOfRange(
        `name of a ${what}`,
        "1 to 63 characters without spaces, colons, slashes, brackets, – and →",
        name,
      );
    }
    if (this.#nodes.has(name) || name === "localhost")
      throw outOfRange(`name of a ${what}`, "one that nobody has", name);
    return name;
  }

  #addresses(options: unknown, where: string): HostAddress[] {
    if (typeof options !== "object" || options === null)
      throw wrongType(`${where}: options`, "an object", options);
    const { address, addresses } = options as NodeOptions;
    if (address !== undefined && addresses !== undefined) {
      throw outOfRange(`${where}: address`, "left out beside addresses", address);
    }
    const given: unknown = addresses ?? (address === undefined ? [] : [address]);
    if (!Array.isArray(given)) throw wrongType(`${where}: addresses`, "an array of IP addresses", given);
    const read = given.map((each) => readHostAddress(each, `${where}: address`));
    for (const [index, { host }] of read.entries()) {
      const owner =
        this.#owners.get(host)?.name ??
        (read.findIndex((each) => each.host === host) < index ? "it" : undefined);
      if (owner !== undefined)
        throw outOfRange(`${where}: address`, `one that nobody has (${owner} has it)`, host);
    }
    return read;
  }

  /** A router needs one of each family, to say in ICMP who says so: of networks that are for measuring (RFC 2544, RFC 5180). */
  #missingAddresses(given: readonly HostAddress[], where: string): HostAddress[] {
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

  #add(node: Node, addresses: readonly HostAddress[]): void {
    this.#nodes.set(node.name, node);
    for (const address of addresses) {
      this.#claim(address.host, node, node.name);
      if (address.broadcast !== undefined) this.#broadcasts.set(address.broadcast, address);
    }
    this.#generation++;
  }

  #claim(host: string, node: Node, name: string): void {
    const owner = this.#owners.get(host);
    if (owner && owner !== node)
      throw outOfRange(`address of ${name}`, `one that nobody has (${owner.name} has it)`, host);
    this.#owners.set(host, node);
  }

  #checkMtu(from: Node, to: Node, { up, down }: CheckedLink, name: string): void {
    const ipv6 = [from, to].find(
      (node) => node instanceof Host && node.addresses.some((each) => each.includes(":")),
    );
    const least = Math.min(up.mtuBytes, down.mtuBytes);
    if (!ipv6 || least >= 1280) return;
    throw outOfRange(
      `link ${name}: mtuBytes`,
      `at least 1280, since ${ipv6.name} has an IPv6 address`,
      least,
    );
  }

  #resolve(name: string, family: Family): Promise<readonly Endpoint[]> {
    const node = this.#nodes.get(name);
    const own = name === "localhost" ? ["127.0.0.1", "::1"] : node instanceof Host ? node.addresses : [];
    const found = own.filter((each) => each.includes(":") === (family !== AF_INET));
    if (found.length > 0) return Promise.resolve(found.map((host) => new Address(host, 0) as Endpoint));
    return Promise.reject(
      new OSError("ENOTFOUND", { address: name, text: "no host of this network has that name" }),
    );
  }

  async #close(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.abandonSockets()));
  }
}
