import { type Socket, answerMany } from "../core/socket/socket.js";
import { routeOf } from "../core/receive/datagram.js";
import type { Endpoint, OSError } from "../index.js";
import type { Client } from "./clients.js";
import type { Departure } from "./direction.js";
import type { DirectionName, RelayObservers } from "./observer.js";

/** What the sender of datagrams needs of its relay. */
export interface DepartureSenderHost {
  readonly listener: Socket;
  /** The address of `listener`. */
  readonly address: Endpoint;
  /** Whether each datagram to a client leaves from the address that the client has sent to. */
  readonly replies: boolean;
  readonly observers: RelayObservers;
  /** A call failed. */
  failed(s: Socket, error: unknown): OSError;
}

/** Sends the datagrams that leave a relay: to the targets, and to the clients. */
export class DepartureSender {
  /** Datagrams to other targets than the first. */
  copied = 0;
  readonly #host: DepartureSenderHost;

  constructor(host: DepartureSenderHost) {
    this.#host = host;
  }

  /** Sends datagrams to all targets. @returns how many were not sent. */
  async up(departures: readonly Departure<Client>[]): Promise<number> {
    const sends = Array.from(byClient(departures), ([{ upstreams }, each]) => {
      this.copied += (upstreams.length - 1) * each.length;
      const payloads = each.map(({ data }) => data);
      return upstreams.map((upstream) => {
        const sending = upstream.send(payloads);
        return this.#told("up", each, sending, () => [upstream.local, upstream.at]);
      });
    });
    return sum(await Promise.all(sends.flat()));
  }

  /** Sends datagrams to their clients. @returns how many were not sent. */
  async down(departures: readonly Departure<Client>[]): Promise<number> {
    const { listener, address, replies, observers } = this.#host;
    if (!replies && !observers.active) {
      const outgoing = departures.map(({ data, to }) => ({ data, address: to.address }));
      return this.#unsent(outgoing.length, listener.sendMany(outgoing));
    }
    // One call for each client: its datagrams share the route, and observers are told of a client's datagrams together.
    const sends = Array.from(byClient(departures), ([{ address: to, last }, each]) => {
      const payloads = each.map(({ data }) => data);
      const sending = answerMany(listener, payloads, to, last && routeOf(last));
      const from = last?.destination ?? address;
      return this.#told("down", each, this.#unsent(each.length, sending), () => [from, to]);
    });
    return sum(await Promise.all(sends));
  }

  /** Waits until datagrams are sent, and tells observers of it. @returns how many were not sent. */
  async #told(
    direction: DirectionName,
    datagrams: readonly Departure<Client>[],
    sending: Promise<number>,
    addresses: () => readonly [Endpoint, Endpoint],
  ): Promise<number> {
    const { observers, listener } = this.#host;
    if (!observers.active) return sending;
    const timestamp = listener.clock.wall();
    const unsent = await sending;
    const [source, destination] = addresses();
    observers.left(direction, datagrams, { source, destination, timestamp, unsent });
    return unsent;
  }

  /** Waits for a send to clients. @returns how many datagrams were not sent. */
  async #unsent(datagrams: number, sending: Promise<number>): Promise<number> {
    const { listener } = this.#host;
    try {
      await sending;
      return 0;
    } catch (error) {
      const { sent = 0 } = this.#host.failed(listener, error);
      return datagrams - sent;
    }
  }
}

/** The datagrams of each client, in their order. */
function byClient(departures: readonly Departure<Client>[]): Map<Client, Departure<Client>[]> {
  const ofClients = new Map<Client, Departure<Client>[]>();
  for (const departure of departures) {
    const known = ofClients.get(departure.to);
    if (known) known.push(departure);
    else ofClients.set(departure.to, [departure]);
  }
  return ofClients;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
