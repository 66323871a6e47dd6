import type { Family } from "../../core/address/address.js";
import type { SocketOptions } from "../../core/socket/arguments.js";
import { AF_INET, SOCK_DGRAM } from "../../core/constants.js";
import type { Stack } from "../../core/driver/driver.js";
import { OSError } from "../../core/errors/errors.js";
import { type Socket, abandon, openSocket } from "../../core/socket/socket.js";
import type { Totals } from "../../core/ledger/ledger.js";
import type { SimDriver } from "./driver.js";
import { Ip } from "./ip.js";
import { simStack } from "./stack.js";
import type { Transit } from "../link/transit.js";
import type { VirtualTime } from "../time/virtual-time.js";
import type { HostAddress } from "../node/addresses.js";
import type { NetworkContext } from "../node/context.js";
import type { OutgoingLink, Interface, Node } from "../node/node.js";

/** A host of a simulated network. Its sockets are the ones of `datagram`, on a network in memory. */
export class Host implements Node {
  readonly kind = "host";
  readonly name: string;
  /** Its addresses, as `Address` spells them, in the order in which they were given. */
  readonly addresses: readonly string[];
  readonly #ip: Ip;
  readonly #stack: Stack;
  /** Those of the sockets that are open, in the order in which they were opened. */
  readonly #sockets = new Map<SimDriver, Socket>();
  #latest: SimDriver | undefined;

  /** Made by `network.host()`. */
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
    this.#ip = new Ip(context, this, addresses, random);
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
   * Opens a UDP socket on this host. `socket(2)`; takes and gives what `socket()` of `datagram` does.
   *
   * @throws as that, and `OSError` `ENETDOWN` while the host is down.
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

  /** Whether it runs: not from `crash()` to `restart()`. */
  get isUp(): boolean {
    return this.#ip.isUp;
  }

  /** What became of the datagrams of all its sockets, closed ones included, by cause, and what the host itself has counted. */
  stats(): Totals {
    return Object.freeze({ ...this.#stack.ledger.totals(), host: this.#ip.counts() });
  }

  /**
   * Ends the host as a power cut does, at once. Its sockets are closed, and their ports, memberships and unread datagrams
   * are gone. What waited on them fails with `ECANCELED`, sends that have not left too; later calls fail with `EBADF`.
   * Until `restart()` nothing leaves the host, not even what waits for the rate of its links, and what comes is lost
   * without an answer. Timers and memory are the program's: what it goes on to do finds its sockets closed.
   */
  crash(): void {
    this.#ip.crash();
    for (const [driver, socket] of [...this.#sockets]) {
      driver.crash();
      void socket.close();
    }
  }

  /** Lets the host run again, without any socket. */
  restart(): void {
    this.#ip.restart();
  }

  /** Closes the open sockets as the end of a process does: receive calls that wait are left pending. */
  async abandonSockets(): Promise<void> {
    await Promise.all([...this.#sockets.values()].map((socket) => abandon(socket)));
  }

  /** For people: who waits on this host for what. */
  waiting(): readonly string[] {
    return [...this.#sockets.keys()].flatMap(({ waiting }) =>
      waiting === undefined ? [] : [`${this.name} waits for ${waiting}`],
    );
  }

  attach(out: OutgoingLink): Interface {
    return this.#ip.routing.attach(out);
  }

  get interfaces(): readonly Interface[] {
    return this.#ip.routing.interfaces;
  }

  arrive(transit: Transit, at: Interface): boolean {
    return this.#ip.arrive(transit, at);
  }

  #up(): Stack {
    if (this.isUp) return this.#stack;
    throw new OSError("ENETDOWN", { syscall: "socket", text: `the host ${this.name} is down` });
  }
}
