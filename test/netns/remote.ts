/** Sockets of this library on the hosts of a test, each in a process of its own. */

import type {
  Capabilities,
  Loss,
  MessageOptions,
  OutgoingDatagram,
  SocketOptions,
  Stats,
  WaitOptions,
} from "datagram";
import { type TestContext, expect } from "vitest";

import { type DriverName, Program, cleanEnding, home, withDriver } from "../process/programs.js";
import type { Call, Opening, Outcome } from "./fixtures/remote.js";
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

/** A socket in another process, which does one call at a time. A failed call rejects with the fields of the error. */
export class RemoteSocket {
  /** The address at which others reach the socket. */
  readonly address: Pair;
  readonly #program: Program;

  private constructor(address: Pair, program: Program) {
    this.address = address;
    this.#program = program;
  }

  /** Opens a socket on a host, bound to an address of the host. */
  static async open(
    test: TestContext,
    driver: DriverName,
    at: Host,
    host: string,
    options: SocketOptions = {},
  ): Promise<RemoteSocket> {
    const fixture = `${home}build/test/netns/fixtures/remote.js`;
    const opening = JSON.stringify({ host, options } satisfies Opening);
    const command = [...at.withinOneCpu, process.execPath, fixture, opening];
    const program = new Program(test, command, withDriver(driver), "pipe");
    return new RemoteSocket([host, Number(await program.line())], program);
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

  /** Closes the socket, and checks that its process ends normally. */
  async close(): Promise<void> {
    this.#program.endInput();
    expect(await this.#program.ended).toMatchObject(cleanEnding);
  }

  async #call<T>(method: string, ...args: readonly unknown[]): Promise<T> {
    this.#program.write(JSON.stringify({ method, args } satisfies Call));
    const outcome = JSON.parse(await this.#program.line()) as Outcome;
    if ("error" in outcome) throw Object.assign(new Error(outcome.error.message), outcome.error);
    return outcome.value as T;
  }
}
