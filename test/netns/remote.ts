/** Sockets of this library on the hosts of a test. The sockets of a host over one driver are in one process. */

import type {
  Capabilities,
  Loss,
  MessageOptions,
  OutgoingDatagram,
  SocketOptions,
  Stats,
  WaitOptions,
} from "datagram";
import type { TestContext } from "vitest";

import type { DriverName } from "../process/programs.js";
import { type Agent, agentOn, fixture } from "./agent.js";
import type { Call, Outcome } from "./fixtures/remote.js";
import type { Host } from "./network.js";

export type Pair = readonly [host: string, port: number];

/** An address in JSON. */
export interface Where {
  readonly host: string;
  readonly port: number;
}

/** A datagram in JSON. A field that is `undefined` is missing. */
export interface Received {
  readonly data: string;
  readonly source: Where;
  readonly size: number;
  readonly truncated: boolean;
  readonly destination?: Where;
  readonly interface?: string;
  readonly ttl?: number;
  readonly tos?: number;
  readonly ecn?: number;
  readonly timestamp?: string;
  readonly lostBefore?: number;
}

/** An ICMP error in JSON. */
export interface Report {
  readonly destination?: Where;
  readonly code: string;
  readonly kind?: string;
  readonly from?: string;
}

/** The events in JSON. */
interface Events {
  readonly unreachable: Report;
  readonly pathMtu: {
    readonly destination: Where;
    readonly mtu: number;
    readonly maxPayload: number;
    readonly from?: string;
  };
  readonly dropped: Loss;
}

/** The longest wait for something that must happen, in milliseconds. */
const patienceMs = 10_000;

/** A socket in another process. A failed call rejects with the fields of the error. */
export class RemoteSocket {
  /** The address at which others reach the socket. */
  readonly address: Pair;
  readonly #agent: Agent;
  readonly #number: number;

  private constructor(address: Pair, agent: Agent, number: number) {
    this.address = address;
    this.#agent = agent;
    this.#number = number;
  }

  /** Opens a socket on a host, bound to an address of the host. It is closed when its test ends. */
  static async open(
    test: TestContext,
    driver: DriverName,
    at: Host,
    host: string,
    options: SocketOptions = {},
  ): Promise<RemoteSocket> {
    const agent = agentOn(at, [...at.withinOneCpu, ...fixture("remote")], driver);
    const number = ++opened;
    const port = await call<number>(agent, number, "open", host, options);
    const s = new RemoteSocket([host, port], agent, number);
    test.onTestFinished(() => s.close());
    return s;
  }

  connect(address: Pair | null): Promise<void> {
    return this.#call("connect", address);
  }

  addMembership(group: string, at: string): Promise<void> {
    return this.#call("addMembership", group, at);
  }

  dropMembership(group: string, at: string): Promise<void> {
    return this.#call("dropMembership", group, at);
  }

  sendto(data: string, address: Pair): Promise<number> {
    return this.#call("sendto", data, address);
  }

  send(data: string): Promise<number> {
    return this.#call("send", data);
  }

  sendmsg(message: OutgoingDatagram): Promise<number> {
    return this.#call("sendmsg", message);
  }

  sendMany(payloads: readonly string[], address: Pair): Promise<number> {
    return this.#call("sendMany", payloads, address);
  }

  recvmsg(options: MessageOptions = { timeoutMs: patienceMs }): Promise<Received> {
    return this.#call("recvmsg", options);
  }

  recvMany(max: number, options: WaitOptions = { timeoutMs: patienceMs }): Promise<Received[]> {
    return this.#call("recvMany", max, options);
  }

  /** Waits for that many datagrams. */
  async receive(count: number): Promise<readonly Received[]> {
    const datagrams: Received[] = [];
    while (datagrams.length < count) datagrams.push(...(await this.recvMany(count - datagrams.length)));
    return datagrams;
  }

  /** Waits for a datagram and answers it from the address that it was sent to. */
  answer(data: string): Promise<Received> {
    return this.#call("answer", data, { timeoutMs: patienceMs });
  }

  pathMtu(address: Pair): Promise<number | undefined> {
    return this.#call("pathMtu", address);
  }

  maxPayload(address: Pair): Promise<number | undefined> {
    return this.#call("maxPayload", address);
  }

  stats(): Promise<Stats> {
    return this.#call("stats");
  }

  capabilities(): Promise<Capabilities> {
    return this.#call("capabilities");
  }

  /** Waits for the next event with this name. */
  event<E extends keyof Events>(name: E): Promise<Events[E]> {
    return this.#call("event", name, patienceMs);
  }

  /** The events with this name that no call has returned yet. */
  events<E extends keyof Events>(name: E): Promise<readonly Events[E][]> {
    return this.#call("events", name);
  }

  /** The CPU time of the socket's process so far, in milliseconds. */
  cpuMs(): Promise<number> {
    return this.#call("cpuMs");
  }

  close(): Promise<void> {
    return this.#call("close");
  }

  #call<T>(method: string, ...args: readonly unknown[]): Promise<T> {
    return call(this.#agent, this.#number, method, ...args);
  }
}

/** How many sockets the tests of this process have opened. */
let opened = 0;
async function call<T>(agent: Agent, socket: number, method: string, ...args: unknown[]): Promise<T> {
  const outcome = (await agent.call({ socket, method, args } satisfies Call)) as Outcome;
  if ("error" in outcome) throw Object.assign(new Error(outcome.error.message), outcome.error);
  return outcome.value as T;
}
