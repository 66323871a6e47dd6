/** What a situation is played in: hosts in namespaces, or in memory. */

import type { SocketOptions } from "datagram";

import { type Call, methods } from "./player.js";

/**
 * The hosts. `desk` has `router` on eth0, behind which are `camera` (the link between takes 1,280 bytes) and, by NAT, `inner`;
 * `lamp` is on eth1 of the desk.
 */
export const addresses = {
  desk: { address: "10.77.0.1", address6: "fd00:77::1", by: "10.77.2.1", by6: "fd00:77:2::1" },
  router: { address: "10.77.0.254", address6: "fd00:77::fe" },
  camera: { address: "10.77.1.2", address6: "fd00:77:1::2" },
  inner: { address: "192.168.77.2", address6: "fd00:77:3::2" },
  lamp: { address: "10.77.2.2", address6: "fd00:77:2::2" },
} as const;

export type HostName = "desk" | "camera" | "lamp" | "inner";

/** Which packets a host loses that come to it: all of them, those to a port, or of datagrams in fragments these. */
export type Lost =
  "all" | "first fragments" | "last fragments" | "later fragments" | "icmp" | { readonly port: number };

/** How long a NAT keeps a mapping without traffic, in milliseconds. */
export const mappingMs = 1000;

/** What the two worlds do each in its own way. */
export interface Ground {
  /** Does a call on a host, and gives what came of it. */
  do(host: HostName, call: Call): Promise<unknown>;
  /** Has a host lose packets from now on, until the call that it gives back. */
  lose(host: "camera" | "lamp", lost: Lost): () => void;
  /** Ends the host as a power cut does. */
  crash(host: "camera" | "lamp"): Promise<void>;
  restart(host: "camera" | "lamp"): void;
  /** Waits for so many milliseconds of this world. */
  pass(ms: number): Promise<void>;
}

/** A socket that is told what to do; what came of it is an event of the situation. */
export type Actor = Readonly<
  Record<(typeof methods)[number], (...args: readonly unknown[]) => Promise<unknown>>
>;

/** A ground on which one situation is played, and what happened there. */
export class World {
  /** Each call, and what came of it. */
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
      // Its place is that of the call, so that calls that wait at the same time have an order.
      const event: [string, string, unknown] = [who, method, "waits"];
      this.events.push(event);
      event[2] = await this.ground.do(host, { name, method, args });
      return event[2];
    };
    await act("open", [version, options]);
    const calls = methods.map((method) => [method, (...args: readonly unknown[]) => act(method, args)]);
    return Object.fromEntries(calls) as Actor;
  }

  /** One that is bound. */
  async bound(host: HostName, at: readonly [string, number], options: SocketOptions = {}): Promise<Actor> {
    const s = await this.socket(host, at[0].includes(":") ? 6 : 4, options);
    await s.bind(at);
    return s;
  }
}
