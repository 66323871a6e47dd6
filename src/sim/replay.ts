import type { Endpoint } from "../core/address/address.js";
import { sharedAddress } from "../core/address/shared-addresses.js";
import { AF_INET } from "../core/constants.js";
import type { Clock } from "../core/driver/driver.js";
import { wrongType } from "../core/errors/errors.js";
import { refuseUnknown } from "../core/errors/fields.js";
import { parseLiteral } from "../core/ip.js";
import { payloadLimit } from "../core/send/failure.js";
import type { Socket } from "../core/socket/socket.js";
import type { CapturedDatagram } from "../capture/captured-datagram.js";
import { type CaptureInput, read } from "../capture/read.js";
import {
  type ReplayOptions,
  type ReplayStats,
  type ReplayDatagram,
  checkReplay,
  replayFields,
} from "../capture/replay/options.js";
import { ReplayRun } from "../capture/replay/run.js";
import type { ReplayTarget } from "../capture/replay/target.js";
import { Host } from "./host/host.js";
import type { LinkInput } from "./link/settings.js";
import type { Node } from "./node/node.js";

/** The options of `network.replay()`: those of `replay` of `datagram/capture`, without `segmentation`, and these. */
export interface NetworkReplayOptions extends ReplayOptions {
  /** The host that receives all datagrams, each at the port that it was recorded with. */
  readonly to: Host;
  /** The settings of the link of each new host, from the host on. @default nothing is lost, no delay */
  readonly link?: LinkInput | undefined;
  /** The node that the new hosts are linked to, such as a router or a switch. @default the host `to` */
  readonly via?: Node | undefined;
}

/** What a replay on a network did. */
export interface NetworkReplayStats extends ReplayStats {
  /** The hosts that sent, by the recorded address of the source. */
  readonly hosts: ReadonlyMap<string, Host>;
}

/** What a replay needs of its network. */
export interface ReplayNetwork {
  readonly clock: Clock;
  /** The node that has an address. */
  owner(address: string): Node | undefined;
  host(name: string, options: { readonly address: string }): Host;
  link(from: Node, to: Node, settings: LinkInput): unknown;
}

/** Replays a file on a network. */
export async function replayOn(
  network: ReplayNetwork,
  file: CaptureInput,
  options: NetworkReplayOptions,
): Promise<NetworkReplayStats> {
  refuseUnknown(options, [...replayFields, "to", "link", "via"], "options: a field");
  const { to, via = to, link = {} } = options;
  if (!(to instanceof Host) || network.owner(to.address) !== to)
    throw wrongType("options.to", "a host of this network", to);
  const terms = checkReplay(file, options);
  const senders = new RecordedHosts(network, to, via, link);
  const isChosen = (datagram: ReplayDatagram): boolean =>
    (datagram.direction !== "out" || options.direction === "out") &&
    !to.addresses.includes(datagram.source.host) &&
    (terms.isChosen?.(datagram) ?? true);
  const run = new ReplayRun(() => read(file, { mtu: terms.mtu }), senders, { ...terms, isChosen });
  try {
    return Object.freeze({ ...(await run.run()), hosts: senders.hosts });
  } finally {
    await senders.close();
  }
}

/** Where a datagram goes: from the socket of its source to a port of the receiver. */
interface Route {
  readonly socket: Socket;
  readonly to: Endpoint;
}

/** The hosts of the recorded sources, each with a socket for each of its recorded ports. */
class RecordedHosts implements ReplayTarget<Route> {
  readonly clock: Clock;
  readonly hosts = new Map<string, Host>();
  readonly #network: ReplayNetwork;
  readonly #to: Host;
  readonly #via: Node;
  readonly #link: LinkInput;
  readonly #sockets = new Map<string, Promise<Socket>>();
  #replaced = 0;

  constructor(network: ReplayNetwork, to: Host, via: Node, link: LinkInput) {
    this.clock = network.clock;
    this.#network = network;
    this.#to = to;
    this.#via = via;
    this.#link = link;
  }

  async routeOf({ source, destination }: CapturedDatagram): Promise<Route | undefined> {
    const host = this.#to.addresses.find((address) => address.includes(":") === source.host.includes(":"));
    // Port 0 is no port that a socket can have.
    if (host === undefined || source.port === 0 || destination.port === 0) return undefined;
    const key = String(source);
    let opening = this.#sockets.get(key);
    if (!opening) this.#sockets.set(key, (opening = this.#open(source)));
    return { socket: await opening, to: sharedAddress(host, destination.port) as Endpoint };
  }

  maxPayload({ socket }: Route): number {
    return payloadLimit(null, socket.family);
  }

  send(data: Uint8Array, { socket, to }: Route): Promise<number> {
    return socket.sendto(data, to);
  }

  /** Closes the sockets. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#sockets.values()].map(async (opening) => (await opening).close()));
  }

  async #open({ host: recorded, port, family }: Endpoint): Promise<Socket> {
    let host = this.hosts.get(recorded);
    if (!host) this.hosts.set(recorded, (host = this.#hostOf(recorded)));
    const address = host.addresses.includes(recorded)
      ? recorded
      : (host.addresses.find((each) => each.includes(":") === (family !== AF_INET)) ?? host.address);
    const socket = host.socket(family);
    await socket.bind([address, port]);
    return socket;
  }

  /** Returns the host of the network that has the recorded address, or a new one. */
  #hostOf(recorded: string): Host {
    const address = isLoopback(recorded) ? this.#replacement(recorded) : recorded;
    const owner = this.#network.owner(address);
    if (owner instanceof Host) return owner;
    const made = this.#network.host(`recorded-${recorded.replaceAll(":", "-")}`, { address });
    this.#network.link(made, this.#via, this.#link);
    return made;
  }

  /** A free address for a source that was on the same machine, from the networks for documentation (RFC 5737, RFC 3849). */
  #replacement(recorded: string): string {
    for (;;) {
      const number = ++this.#replaced;
      const address = recorded.includes(":") ? `2001:db8::${number.toString(16)}` : `192.0.2.${number}`;
      if (!this.#network.owner(address)) return address;
    }
  }
}

function isLoopback(address: string): boolean {
  const bytes = parseLiteral(address)?.bytes;
  return bytes?.length === 4 ? bytes[0] === 127 : address === "::1";
}
