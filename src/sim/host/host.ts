import type { Family } from "../../core/address/address.js";
import { AF_INET, SOCK_DGRAM } from "../../core/constants.js";
import type { Stack } from "../../core/driver/driver.js";
import { OSError } from "../../core/errors/errors.js";
import type { Totals } from "../../core/ledger/ledger.js";
import type { SocketOptions } from "../../core/socket/arguments.js";
import { openSocket } from "../../core/socket/opening.js";
import { type Socket, abandon } from "../../core/socket/socket.js";
import type { Transit } from "../link/transit.js";
import { HostPrograms, type LoadOptions } from "../load/load.js";
import type { HostAddress } from "../node/addresses.js";
import type { NetworkContext } from "../node/context.js";
import type { OutgoingLink, Interface, Node } from "../node/node.js";
import type { VirtualTime } from "../time/virtual-time.js";
import type { SimDriver } from "./driver.js";
import { Ip } from "./ip.js";
import { simStack } from "./stack.js";

/**
 * A host of a simulated network. Its sockets are those of `datagram`, on a network in memory.
 *
 * The other files of this folder: `stack.ts` and `driver.ts` connect the sockets of `datagram` to the host. `notifier.ts`
 * reports events to them. `binding.ts`, `options.ts`, `groups.ts` and `receive-buffer.ts` are the state of one socket.
 * `ip.ts` sends and receives packets. `routing.ts`, `address-links.ts` and `path-mtu-cache.ts` know where packets go, and
 * `ports.ts` knows which socket receives them.
 */
export class Host implements Node {
  /** Tells a host from a router and a switch. */
  readonly kind = "host";
  /** The name, as given to `network.host()`. */
  readonly name: string;
  /** The addresses of the host, as `Address` writes them, in the given order. */
  readonly addresses: readonly string[];
  readonly #ip: Ip;
  readonly #stack: Stack;
  /** The open sockets, in the order in which they were opened. */
  readonly #sockets = new Map<SimDriver, Socket>();
  readonly #programs: HostPrograms;
  readonly #time: VirtualTime;
  #latest: SimDriver | undefined;

  /** Made by `network.host()`. @internal */
  constructor(
    context: NetworkContext,
    time: VirtualTime,
    name: string,
    addresses: readonly HostAddress[],
    resolve: Stack["resolve"],
  ) {
    this.name = name;
    this.addresses = addresses.map(({ host }) => host);
    const random = context.randomStream(`host ${name}`);
    this.#time = time;
    this.#ip = new Ip(context, this, addresses, random);
    this.#programs = new HostPrograms({
      name,
      sockets: this,
      clock: time.clock,
      names: { resolve, nameOf: (address) => context.owner(address)?.name },
      placed: () => this.#ip.routing.placedAddresses,
    });
    this.#stack = simStack({
      context,
      time,
      ip: this.#ip,
      random,
      resolve,
      opened: (driver) => (this.#latest = driver),
      closed: (driver) => this.#sockets.delete(driver),
    });
  }

  /** The first of its addresses. */
  get address(): string {
    return this.addresses[0] as string;
  }

  /**
   * Opens a UDP socket on this host (`socket(2)`). Arguments and result are those of `socket()` of `datagram`.
   *
   * @throws as `socket()`, and `OSError` `ENETDOWN` while the host is down.
   */
  socket(
    family: Family = AF_INET,
    type: typeof SOCK_DGRAM = SOCK_DGRAM,
    options: SocketOptions = {},
  ): Socket {
    const opened = openSocket(() => this.#up(), family, type, options);
    this.#sockets.set(this.#latest as SimDriver, opened);
    return opened;
  }

  /**
   * Loads a package, or another module for Node.js, onto this host, with everything that it imports: `node:dgram`, `node:dns`,
   * `os.hostname()`, `os.networkInterfaces()` and timers are those of the host. Each host has a copy of its own, until the end of
   * the run or the next `crash()`. The clock stops until the module is loaded: it must not wait for timers or datagrams with a
   * top-level `await`.
   *
   * @param specifier as for `import()`: a package, a path or a URL.
   * @returns what `require()` returns; the namespace of an ES module.
   * @throws (rejects) `Error` `ERR_SIM_LOAD` for a native addon, for an ES module before Node.js 22.15, and outside of a run;
   *   `OSError` `ENETDOWN` while the host is down; what the module throws; `TypeError`, `RangeError` for invalid arguments.
   */
  async load<T = unknown>(specifier: string | URL, options: LoadOptions = {}): Promise<T> {
    this.#up();
    if (!this.#time.isRunning)
      throw Object.assign(new Error("host.load: only possible within network.run()"), {
        code: "ERR_SIM_LOAD",
      });
    return this.#time.real(this.#programs.load(specifier, options)) as Promise<T>;
  }

  /** Whether the host runs: `false` from `crash()` to `restart()`. */
  get isUp(): boolean {
    return this.#ip.isUp;
  }

  /** The counters of all sockets of the host, including closed ones, and the counters of the host itself. */
  stats(): Totals {
    return Object.freeze({ ...this.#stack.ledger.totals(), host: this.#ip.counts() });
  }

  /**
   * Ends the host at once, like a power cut. Its sockets are closed, and their ports, memberships and unread datagrams are
   * gone. Waiting calls fail with `ECANCELED`, also sends that have not left; later calls fail with `EBADF`. Until
   * `restart()`, nothing leaves the host, also not the packets that wait for the rate of a link, and packets that arrive are
   * lost without an answer. What was loaded by `load()` ends: its timers do nothing any more. Timers and memory of the test stay:
   * it continues with closed sockets.
   */
  crash(): void {
    this.#ip.crash();
    this.#programs.end();
    for (const [driver, socket] of [...this.#sockets]) {
      driver.crash();
      void socket.close();
    }
  }

  /** Lets the host run again, without any socket. */
  restart(): void {
    this.#ip.restart();
  }

  /**
   * Ends what was loaded, and closes the open sockets like the end of a process: receive calls that wait stay pending.
   * @internal
   */
  async endPrograms(): Promise<void> {
    this.#programs.end();
    await Promise.all([...this.#sockets.values()].map((socket) => abandon(socket)));
  }

  /** A line for each socket that waits, for error messages. @internal */
  waiting(): readonly string[] {
    return [...this.#sockets.keys()].flatMap(({ waiting }) =>
      waiting === undefined ? [] : [`${this.name} waits for ${waiting}`],
    );
  }

  /** Adds an interface for a new link. @internal */
  attach(out: OutgoingLink): Interface {
    return this.#ip.routing.attach(out);
  }

  /** The interfaces of the host, `lo` first. @internal */
  get interfaces(): readonly Interface[] {
    return this.#ip.routing.interfaces;
  }

  /** Takes a packet that arrived at an interface. @internal */
  arrive(transit: Transit, at: Interface): boolean {
    return this.#ip.arrive(transit, at);
  }

  #up(): Stack {
    if (this.isUp) return this.#stack;
    throw new OSError("ENETDOWN", { syscall: "socket", text: `the host ${this.name} is down` });
  }
}
