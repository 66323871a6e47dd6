/** The hosts that a situation runs on: in namespaces, or in memory. */

import type { SocketOptions } from "datagram";

import { type Call, methods } from "./player.js";

/**
 * The hosts. `desk` is connected to `router` on eth0. Behind the router are `camera`, over a link with an MTU of 1,280
 * bytes, and `inner`, behind a NAT. `lamp` is on eth1 of the desk.
 */
export const addresses = {
  desk: { address: "10.77.0.1", address6: "fd00:77::1", by: "10.77.2.1", by6: "fd00:77:2::1" },
  router: { address: "10.77.0.254", address6: "fd00:77::fe" },
  camera: { address: "10.77.1.2", address6: "fd00:77:1::2" },
  inner: { address: "192.168.77.2", address6: "fd00:77:3::2" },
  lamp: { address: "10.77.2.2", address6: "fd00:77:2::2" },
} as const;

export type HostName = "desk" | "camera" | "lamp" | "inner";

/** The arriving packets that a host loses: all, those to a port, or some fragments. */
export type Lost =
  | "all"
  | "first fragments"
  | "last fragments"
  | "later fragments"
  | "icmp"
  // To this port.
  | { readonly port: number };

/** How long a NAT keeps a mapping without traffic, in milliseconds. */
export const mappingMs = 1000;

/** What the two worlds do in different ways. */
export interface Ground {
  /** Does a call on a host, and returns its result. */
  do(host: HostName, call: Call): Promise<unknown>;
  /** Makes a host lose packets, until the returned function is called. */
  lose(host: "camera" | "lamp", lost: Lost): () => void;
  /** Ends the host as a power failure does. */
  crash(host: "camera" | "lamp"): Promise<void>;
  restart(host: "camera" | "lamp"): void;
  /** Waits for that many milliseconds of this world. */
  pass(ms: number): Promise<void>;
}

/** A socket whose methods can be called. Each result is an event of the situation. */
export type Actor = Readonly<
  Record<(typeof methods)[number], (...args: readonly unknown[]) => Promise<unknown>>
>;

/** Runs one situation, and records what happened. */
export class World {
  /** Each call, and its result. */
  readonly events: [who: string, what: string, outcome: unknown][] = [];
  readonly ground: Ground;
  readonly #situation: string;
  #sockets = 0;

  constructor(ground: Ground, situation: string) {
    this.ground = ground;
    this.#situation = situation;
  }

  /** Opens a socket on a host. */
  async socket(host: HostName, version: 4 | 6 = 4, options: SocketOptions = {}): Promise<Actor> {
    const who = `${host} ${++this.#sockets}`;
    const name = `${this.#situation}: ${who}`;
    const act = async (method: Call["method"], args: readonly unknown[]): Promise<unknown> => {
      // The event gets its place at the time of the call, so that calls that wait at the same time have an order.
      const event: [string, string, unknown] = [who, method, "waits"];
      this.events.push(event);
      event[2] = await this.ground.do(host, { name, method, args });
      return event[2];
    };
    await act("open", [version, options]);
    const calls = methods.map((method) => [method, (...args: readonly unknown[]) => act(method, args)]);
    return Object.fromEntries(calls) as Actor;
  }

  /** Opens a socket on a host, and binds it. */
  async bound(host: HostName, at: readonly [string, number], options: SocketOptions = {}): Promise<Actor> {
    const s = await this.socket(host, at[0].includes(":") ? 6 : 4, options);
    await s.bind(at);
    return s;
  }
}
