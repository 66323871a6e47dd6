import type { Address, AddressLike } from "../../core/address/address.js";
import { OSError, wrongType } from "../../core/errors/errors.js";
import type { Clock } from "../../core/driver/driver.js";
import { payloadLimit } from "../../core/send/failure.js";
import { destinationFor } from "../../core/socket/arguments.js";
import type { Socket } from "../../core/socket/socket.js";
import type { CapturedDatagram } from "../captured-datagram.js";
import { keyOfEndpoint } from "./endpoint-key.js";
import type { ReplayDatagram } from "./options.js";

/**
 * Where datagrams of a recording are sent: one address for all; for each recorded destination its own, with keys such as
 * `"10.0.0.7:5000"`, or `"10.0.0.7"` for all its ports; or a function. Datagrams without an address are skipped.
 */
export type ReplayTo<D extends ReplayDatagram = CapturedDatagram> =
  | AddressLike
  | ReadonlyMap<string, AddressLike>
  | ((datagram: D) => AddressLike | undefined);

/** Sends the datagrams of a replay. `Route` says where one of them is sent. */
export interface ReplayTarget<Route extends object> {
  readonly clock: Clock;
  /** Returns where a datagram is sent; `undefined` if nowhere. It is called before the time of the datagram. */
  routeOf(datagram: ReplayDatagram): Route | undefined | Promise<Route | undefined>;
  /** Bytes of the longest payload that can be sent there. */
  maxPayload(route: Route): number;
  /** Sends one datagram. @throws (rejects) `OSError`. */
  send(data: Uint8Array, route: Route): Promise<number>;
  /**
   * Sends several datagrams, of which some may leave in one packet. Without this method, each is sent by `send`.
   *
   * @throws (rejects) `OSError`, with the number `sent`.
   */
  readonly sendMany?: ((datagrams: readonly RoutedData<Route>[]) => Promise<number>) | undefined;
}

/** A payload, and where it is sent. */
interface RoutedData<Route> {
  readonly data: Uint8Array;
  readonly route: Route;
}

/** The destination of a datagram; `null` is the connected peer. */
interface SocketRoute {
  readonly to: Address | null;
}

/** Sends the datagrams of a replay from one socket. */
export class SocketTarget implements ReplayTarget<SocketRoute> {
  readonly clock: Clock;
  readonly sendMany: ReplayTarget<SocketRoute>["sendMany"];
  readonly #socket: Socket;
  readonly #routeOf: (datagram: ReplayDatagram) => SocketRoute | undefined;

  /**
   * @param segmentation whether datagrams may leave in one packet.
   * @throws `TypeError`, `RangeError`, `OSError` for wrong addresses, and `EDESTADDRREQ` without an address and a peer.
   */
  constructor(socket: Socket, to: ReplayTo<ReplayDatagram> | undefined, segmentation: boolean) {
    this.#socket = socket;
    this.clock = socket.clock;
    this.#routeOf = this.#routes(to);
    if (!segmentation) return;
    this.sendMany = (datagrams) =>
      socket.sendMany(
        datagrams.map(({ data, route: { to: address } }) => (address ? { data, address } : { data })),
      );
  }

  routeOf(datagram: ReplayDatagram): SocketRoute | undefined {
    return this.#routeOf(datagram);
  }

  maxPayload({ to }: SocketRoute): number {
    return payloadLimit(to ?? this.#socket.getpeername(), this.#socket.family);
  }

  send(data: Uint8Array, { to }: SocketRoute): Promise<number> {
    return to ? this.#socket.sendto(data, to) : this.#socket.send(data);
  }

  #routes(to: ReplayTo<ReplayDatagram> | undefined): (datagram: ReplayDatagram) => SocketRoute | undefined {
    if (to === undefined) {
      if (!isConnected(this.#socket)) throw new OSError("EDESTADDRREQ", { syscall: "replay" });
      const toPeer = { to: null };
      return () => toPeer;
    }
    if (typeof to === "function") {
      return (datagram) => {
        const address = to(datagram);
        return address === undefined ? undefined : this.#route(address);
      };
    }
    if (to instanceof Map) {
      const routes = new Map<string, SocketRoute>();
      for (const [key, address] of to as ReadonlyMap<unknown, AddressLike>) {
        if (typeof key !== "string")
          throw wrongType("a key of options.to", "a string such as 10.0.0.7:5000", key);
        routes.set(keyOfEndpoint(key, "a key of options.to"), this.#route(address));
      }
      return ({ destination }) =>
        destination && (routes.get(String(destination)) ?? routes.get(destination.host));
    }
    const route = this.#route(to as AddressLike);
    return () => route;
  }

  #route(address: AddressLike): SocketRoute {
    return { to: destinationFor(address, this.#socket.family, "replay") };
  }
}

function isConnected(socket: Socket): boolean {
  try {
    socket.getpeername();
    return true;
  } catch (error) {
    if (error instanceof OSError && error.code === "ENOTCONN") return false;
    throw error;
  }
}
