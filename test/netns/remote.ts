/** Sockets of this library's on the hosts of a test, each in a process of its own there. */

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

/** An address, as JSON has it. */
export interface Where {
  readonly host: string;
  readonly port: number;
}

/** A datagram, as JSON has it: nothing where the socket gives `undefined`. */
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

/** What ICMP said, as JSON has it. */
export interface Report {
  readonly destination?: Where;
  readonly code: string;
  readonly kind?: string;
  readonly from?: string;
}

/** The events, as JSON has them. */
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

/** Milliseconds within which what must come does. */
const patienceMs = 10_000;

/** A socket in another process, which does one call at a time. A call that fails rejects, with the fields of the error. */
export class RemoteSocket {
  /** Where others reach it. */
  readonly address: Pair;
  readonly #program: Program;

  private constructor(address: Pair, program: Program) {
    this.address = address;
    this.#program = program;
  }

  /** Opens one on a host, bound to an address there. */
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

  /** Waits for so many datagrams. */
  async receive(count: number): Promise<readonly Received[]> {
    const datagrams: Received[] = [];
    while (datagrams.length < count) datagrams.push(...(await this.recvMany(count - datagrams.length)));
    return datagrams;
  }

  /** Waits for a datagram and answers it from where it came to. */
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

  /** Waits for the next event of a name. */
  event<E extends keyof Events>(name: E): Promise<Events[E]> {
    return this.#call("event", name, patienceMs);
  }

  /** The events of a name that came since one was asked for. */
  events<E extends keyof Events>(name: E): Promise<readonly Events[E][]> {
    return this.#call("events", name);
  }

  /** Milliseconds of the CPU that its process has taken so far. */
  cpuMs(): Promise<number> {
    return this.#call("cpuMs");
  }

  /** Closes it, and sees its process end as it should. */
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
