import type { CaptureInput } from "../capture/read.js";
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
import { AddressBook, type NodeOptions } from "./node/address-book.js";
import type { HostAddress } from "./node/addresses.js";
import type { NetworkContext } from "./node/context.js";
import { Host } from "./host/host.js";
import { Nat } from "./node/nat.js";
import { type NatOptions, readNat } from "./node/nat-options.js";
import type { Node } from "./node/node.js";
import { Partitions, nameOf } from "./node/partitions.js";
import { Router } from "./node/router.js";
import { Switch } from "./node/switch.js";
import { Random } from "./random.js";
import {
  type NetworkReplayOptions,
  type NetworkReplayStats,
  type ReplayNetwork,
  replayOn,
} from "./replay.js";
import type { EventuallyOptions } from "./time/eventually.js";
import { type RunOptions, VirtualTime } from "./time/virtual-time.js";
import { Trace, type TraceLimits } from "./trace/trace.js";
import { withSeed } from "./with-seed.js";

/** Options of `new Network()`. */
export interface NetworkOptions {
  /** A uint32. The same seed gives the same run. @default 1 */
  readonly seed?: number | undefined;
  /**
   * During a run, random numbers of the program come from the seed, in the whole thread: `Math.random`, and `randomBytes`,
   * `randomFill`, `randomFillSync`, `randomInt`, `randomUUID` and `getRandomValues` of `node:crypto` and
   * `globalThis.crypto`. Keys and primes still come from Node. @default false
   */
  readonly seedProgram?: boolean | undefined;
  /** How many packets, and how many bytes of them, the trace keeps. */
  readonly trace?: TraceLimits | undefined;
}

/** Options of `network.router()`. */
export interface RouterOptions extends NodeOptions {
  /** The packets that the router drops. */
  readonly firewall?: Firewall | undefined;
  /** Translates packets from inside hosts to the first IPv4 address of the router. `true` is `{}`. */
  readonly nat?: NatOptions | true | undefined;
}

const nodeFields = ["address", "addresses"];

/**
 * A network in memory. Its hosts have the sockets of `datagram`, and its links lose, delay and limit packets. Time is
 * virtual and skips all waiting. One seed gives one run, to the last datagram.
 */
export class Network {
  /** The seed of all random numbers of the network. */
  readonly seed: number;
  /** Each packet on each link, and what became of it. */
  readonly trace: Trace;
  readonly #time = new VirtualTime();
  readonly #nodes = new Map<string, Node>();
  readonly #hosts: Host[] = [];
  readonly #addresses = new AddressBook();
  readonly #links = new Map<string, Link>();
  /** The two directions of each link, up first. */
  readonly #directions = new Map<Link, readonly [LinkDirection, LinkDirection]>();
  readonly #partitions = new Partitions();
  readonly #context: NetworkContext;
  readonly #replayNetwork: ReplayNetwork = {
    clock: this.#time.clock,
    owner: (address) => this.#addresses.owner(address),
    host: (name, options) => this.host(name, options),
    link: (from, to, settings) => this.link(from, to, settings),
  };
  /** The random numbers of the program, if they come from the seed. */
  readonly #programRandom: Random | undefined;
  #generation = 0;
  #ranks = 0;
  #numbers = 0;

  /** @throws `TypeError`, `RangeError` for a seed that is not a uint32, and for invalid limits. */
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

  /** The virtual clock, for programs and their timers. Time passes only within `run`. */
  get clock(): Clock {
    return this.#time.clock;
  }

  /**
   * Adds a host.
   *
   * @param name that other hosts resolve to its addresses.
   * @throws `TypeError`, `RangeError` for a name or an address that is invalid or taken.
   */
  host(name: string, options: NodeOptions): Host {
    const where = `host ${this.#newName(name, "host")}`;
    const addresses = this.#addresses.read(options, where);
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

  /** Adds a router, which forwards packets between its links. @throws as `host`. */
  router(name: string, options: RouterOptions = {}): Router {
    const where = `router ${this.#newName(name, "router")}`;
    const given = this.#addresses.read(options, where);
    refuseUnknown(options, [...nodeFields, "firewall", "nat"], `${where}: a field`);
    const { nat, firewall } = options;
    const addresses = [...given, ...this.#addresses.fillIn(given, where)];
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

  /** Adds a switch. The nodes linked to it are one Ethernet segment: broadcasts and multicast reach all of them. @throws as `host`. */
  switch(name: string): Switch {
    this.#newName(name, "switch");
    const made = new Switch(this.#context, name);
    this.#add(made, []);
    return made;
  }

  /**
   * Joins two nodes.
   *
   * @param from the node at which the direction "up" begins. "Down" is the way back.
   * @param settings for both directions, `{ up, down }`, or the name of a profile. @default nothing is lost, no delay
   * @throws `TypeError`, `RangeError` naming the link: for nodes of another network, a second link between two nodes, a
   *   link of a node to itself, invalid settings, and an MTU below 1280 at a host with an IPv6 address (RFC 8200, section 5).
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
   * Partitions the network: packets between hosts of different groups are lost silently. Hosts in no group reach all others.
   *
   * @returns a function that ends the partition.
   * @throws `TypeError`, `RangeError` unless each group is an array of hosts of this network, and each host is in one group.
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
   * @throws `TypeError`, `RangeError` for something that is not a link of this network, and for an invalid direction.
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
   * Runs a program in virtual time: all waiting is skipped. Meanwhile `setTimeout`, `Date` and similar functions are virtual
   * in the whole thread. When the program has settled, all sockets are closed and time stops. Loops of `for await` end then;
   * other receive calls that wait never settle, as at the end of a process.
   *
   * @param program the code of all hosts.
   * @returns the result of the program.
   * @throws (rejects) what the program throws, with the seed and the line that repeats the run in the message; `StuckError`
   *   if the program cannot go on, naming who waits for what; `TypeError`, `RangeError` for invalid options; `Error` while
   *   another run is active in this thread, or other fake timers are installed.
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
   * Stops the virtual clock until a promise has settled. Needed for work that virtual time cannot see: workers, real
   * sockets, `import()`.
   *
   * @returns the result of the promise; outside of a run, the promise itself.
   */
  real<T>(promise: Promise<T>): Promise<T> {
    return this.#time.real(promise);
  }

  /**
   * Waits, in virtual time, until a check passes: until it neither throws nor returns `false`.
   *
   * @throws (rejects) `Error` after `timeoutMs` (10,000), with the last failure as its `cause`, and outside of a run;
   *   `TypeError`, `RangeError` for an invalid check or invalid times.
   */
  eventually(check: () => unknown, options?: EventuallyOptions): Promise<void> {
    return this.#time.eventually(check, options);
  }

  /**
   * Sends the datagrams of a capture file to a host, each exactly at its time: a recording of real devices becomes a test with a
   * seed. Each recorded source is a host with that address, a new one if the network has none, and each of its ports a socket. Sources
   * on loopback get addresses of 192.0.2.0/24 and 2001:db8::/32. Datagrams that the recording host sent, and those from an
   * address of `to`, are left out. Use it within `run`.
   *
   * @param file as for `read` of `datagram/capture`.
   * @returns what was sent, and the hosts that sent it. When it settles, their sockets are closed.
   * @throws (rejects) as `replay` of `datagram/capture`, `host` and `link`, and `OSError` `EADDRINUSE` if a host of the network uses
   *   the port of a source.
   */
  replay(file: CaptureInput, options: NetworkReplayOptions): Promise<NetworkReplayStats> {
    return replayOn(this.#replayNetwork, file, options);
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

  /** A line for each link direction that holds packets, for error messages. */
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
      owner: (address) => this.#addresses.owner(address),
      claim: (address, node) => {
        this.#addresses.claim(address, node);
        this.#generation++;
      },
      nextRank: () => ++this.#ranks,
      nextPacketNumber: () => ++this.#numbers,
      randomStream: (name) => new Random(this.seed, name),
      isBroadcast: (address, source) => this.#addresses.isBroadcast(address, source),
      isPartitioned: ({ source, destination }, next) =>
        !this.#partitions.isEmpty &&
        this.#partitions.separates(this.#addresses.owner(source), this.#addresses.owner(destination) ?? next),
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
      throw outOfRange(`name of a ${what}`, "a name that is not in use", name);
    return name;
  }

  #add(node: Node, addresses: readonly HostAddress[]): void {
    this.#nodes.set(node.name, node);
    this.#addresses.add(node, addresses);
    this.#generation++;
  }

  #checkMtu(from: Node, to: Node, { up, down }: CheckedLink, name: string): void {
    const ipv6 = [from, to].find(
      (node) => node instanceof Host && node.addresses.some((each) => each.includes(":")),
    );
    const minMtu = Math.min(up.mtuBytes, down.mtuBytes);
    if (!ipv6 || minMtu >= 1280) return;
    throw outOfRange(
      `link ${name}: mtuBytes`,
      `at least 1280, since ${ipv6.name} has an IPv6 address`,
      minMtu,
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
    await Promise.all(this.#hosts.map((host) => host.endPrograms()));
  }
}
