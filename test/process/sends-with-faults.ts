/** Sends over a kernel with planned answers, and checks that each datagram has one end: it arrived, or it failed. */

import {
  AF_INET,
  type Address,
  type Capabilities,
  type Family,
  OSError,
  SOCK_DGRAM,
  SOL_SOCKET,
  SO_RCVBUF,
  type Socket,
  type Stats,
  socket,
} from "datagram";
import { type TestContext, expect } from "vitest";

import { type Outcome, loadFaults, plan, whyNoFaults } from "./faults.js";

// The outcomes are planned for segmented sends of the native driver, which is chosen at the first socket.
process.env.DATAGRAM_DRIVER = "native";
delete process.env.DATAGRAM_GSO;
if (whyNoFaults === undefined) loadFaults();

/** The ways to send. The last two have one destination. */
export const ways = ["sendMany of records", "sendto in one tick", "sendMany", "send in one tick"] as const;
export type Way = (typeof ways)[number];

/** A datagram to receiver `to`. */
export interface Letter {
  readonly data: Buffer;
  readonly to: number;
}

/** A datagram that failed. */
interface Failed {
  readonly index: number;
  readonly code: string;
}

/** The results of a batch. */
export interface Report {
  /** The datagrams that failed. A `sendMany` reports only the first. */
  readonly failed: readonly Failed[];
  readonly stats: Stats;
  readonly capabilities: Capabilities;
  /** Planned outcomes that no system call met. */
  readonly unmet: number;
}

let serial = 0;

/** A datagram that differs from all others, as far as its size allows. */
export function letter(bytes: number, to: number): Letter {
  const data = Buffer.alloc(bytes, ++serial);
  if (bytes >= 4) data.writeUInt32BE(serial);
  return { data, to };
}

/** Receivers on this host. They are closed when the test ends. */
export class Net {
  readonly addresses: readonly Address[];
  readonly #test: TestContext;
  readonly #family: Family;
  readonly #receivers: readonly Socket[];

  private constructor(test: TestContext, family: Family, receivers: readonly Socket[]) {
    this.#test = test;
    this.#family = family;
    this.#receivers = receivers;
    this.addresses = receivers.map((receiver) => receiver.getsockname());
  }

  static async open(test: TestContext, family: Family, count: number): Promise<Net> {
    const receivers = Array.from({ length: count }, () => opened(test, family));
    for (const receiver of receivers) {
      await receiver.bind([family === AF_INET ? "127.0.0.1" : "::1", 0]).catch((error: unknown) => {
        if ((error as OSError).code === "EADDRNOTAVAIL") test.skip("skipped: this host has no IPv6");
        throw error;
      });
      receiver.setblocking(false);
    }
    return new Net(test, family, receivers);
  }

  /** The smallest receive buffer, in bytes. */
  get room(): number {
    return Math.min(...this.#receivers.map((receiver) => receiver.getsockopt(SOL_SOCKET, SO_RCVBUF)));
  }

  /** A socket to send from. It is closed when the test ends. */
  sender(): Socket {
    return opened(this.#test, this.#family);
  }

  /** Sends letters in one tick from a new socket while the kernel answers as planned, and checks the result of each. */
  async exchange(way: Way, letters: readonly Letter[], outcomes: readonly Outcome[]): Promise<Report> {
    const sender = this.sender();
    if (way === "send in one tick") await sender.connect(this.addresses[letters[0]!.to]!);
    plan(outcomes);
    const report = await this.check(sender, way, letters);
    await sender.close();
    return report;
  }

  /** The same with a socket that has sent nothing yet, with the current plan. */
  async check(sender: Socket, way: Way, letters: readonly Letter[]): Promise<Report> {
    const { sent, errors, told } = await send(sender, way, letters, this.addresses);
    const unmet = plan([]);
    for (const [index, { address, port }] of errors) {
      expect({ address, port }, `the error of ${index}`).toEqual({
        address: this.addresses[letters[index]!.to]!.host,
        port: this.addresses[letters[index]!.to]!.port,
      });
    }
    const arrived = await Promise.all(this.#receivers.map((receiver) => unread(receiver)));
    for (const [to, found] of arrived.entries()) {
      const due = letters.flatMap((letter, index) =>
        letter.to === to ? [{ index, data: letter.data }] : [],
      );
      expectDue(found, due, errors, told);
    }
    expect(arrived.flat().length, "arrived").toBe(sent);
    const stats = sender.stats();
    expectCounted(stats, arrived.flat(), letters.length, told ? errors : undefined);
    const failed = Array.from(errors, ([index, { code }]) => ({ index, code }));
    return { failed, stats, capabilities: sender.capabilities, unmet };
  }
}

/** The results of the calls. */
interface Result {
  readonly sent: number;
  readonly errors: ReadonlyMap<number, OSError>;
  /** Whether the calls reported each failure, and not only the first. */
  readonly told: boolean;
}

async function send(
  sender: Socket,
  way: Way,
  letters: readonly Letter[],
  addresses: readonly Address[],
): Promise<Result> {
  const records = letters.map(({ data, to }) => ({ data, address: addresses[to]! }));
  if (way === "sendMany" || way === "sendMany of records") {
    const call =
      way === "sendMany"
        ? sender.sendMany(
            records.map(({ data }) => data),
            records[0]!.address,
          )
        : sender.sendMany(records);
    return call.then(
      (sent) => ({ sent, errors: new Map(), told: true }),
      (error: unknown) => {
        const { index, sent } = asOSError(error);
        return { sent: sent!, errors: new Map([[index!, asOSError(error)]]), told: false };
      },
    );
  }
  const errors = new Map<number, OSError>();
  const calls = records.map(async ({ data, address }, index) => {
    try {
      const bytes = await (way === "send in one tick" ? sender.send(data) : sender.sendto(data, address));
      expect(bytes).toBe(data.length);
    } catch (error) {
      errors.set(index, asOSError(error));
    }
  });
  await Promise.all(calls);
  return { sent: letters.length - errors.size, errors, told: true };
}

/** All unread datagrams: on this host a datagram has arrived when its send is settled. */
async function unread(receiver: Socket): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for (;;) {
    try {
      for (const { data } of await receiver.recvMany(1024)) found.push(data);
    } catch (error) {
      if (asOSError(error).code !== "EAGAIN") throw error;
      expect(receiver.stats().droppedKernel, "dropped by a full receive buffer").toBe(0);
      return found;
    }
  }
}

/** Checks that each datagram that did not fail arrived as it was sent, once and in order. */
function expectDue(
  found: readonly Buffer[],
  due: readonly { index: number; data: Buffer }[],
  errors: ReadonlyMap<number, OSError>,
  told: boolean,
): void {
  const first = told ? Infinity : Math.min(...errors.keys());
  const sure = due.filter(({ index }) => index < first && !errors.has(index));
  for (const [at, { index, data }] of sure.entries()) {
    if (!found[at]?.equals(data))
      throw new Error(`${named(found[at])} came for datagram ${index}, ${named(data)}`);
  }
  // After the first failure of a sendMany, others may be missing. The call reports only their number.
  const rest = due.filter(({ index }) => index > first);
  let next = 0;
  for (const data of found.slice(sure.length)) {
    while (next < rest.length && !rest[next]!.data.equals(data)) next++;
    if (next++ >= rest.length) throw new Error(`${named(data)} came twice, too late, or was not sent`);
  }
}

function expectCounted(
  stats: Stats,
  arrived: readonly Buffer[],
  count: number,
  errors: ReadonlyMap<number, OSError> | undefined,
): void {
  const bytes = arrived.reduce((sum, { length }) => sum + length, 0);
  expect(stats.sent).toEqual({ datagrams: arrived.length, bytes });
  const failures = Object.values(stats.sendErrors).reduce((sum, each) => sum + each, 0);
  expect(failures, "failures counted").toBe(count - arrived.length);
  expect(stats.tooBig).toBe(stats.sendErrors.EMSGSIZE ?? 0);
  if (!errors) return;
  const byCode: Record<string, number> = {};
  for (const { code } of errors.values()) byCode[code] = (byCode[code] ?? 0) + 1;
  expect(stats.sendErrors).toEqual(byCode);
}

function opened(test: TestContext, family: Family): Socket {
  const s = socket(family, SOCK_DGRAM);
  test.onTestFinished(() => s.close());
  return s;
}

function asOSError(error: unknown): OSError {
  if (error instanceof OSError) return error;
  throw error;
}

function named(data: Buffer | undefined): string {
  if (!data) return "nothing";
  return data.length < 4
    ? `one of ${data.length} bytes`
    : `number ${data.readUInt32BE()} of ${data.length} bytes`;
}
