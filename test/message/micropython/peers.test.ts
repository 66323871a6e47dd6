/** The device's side under CPython, in both directions, through a bad network. */

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";

import { AF_INET, type Endpoint, SOCK_DGRAM, type Socket, socket } from "datagram";
import { type Message, messages } from "datagram/message";
import { proxy } from "datagram/proxy";
import { type TestContext, describe, test, vi } from "vitest";

import { frameFlag, frameKind } from "../../../src/wire/message-frame.js";
import { withoutPython } from "../codecs/tools.js";
import { frame } from "../frames.js";

const script = fileURLToPath(new URL("peer.py", import.meta.url));

interface Peer {
  /** The next line that it prints. */
  line(): Promise<string>;
  /** The other lines, until it ends. */
  rest(): Promise<string[]>;
  /** Ends it, and returns the lines that it printed. */
  stop(): Promise<string[]>;
}

/** Starts `peer.py`. */
function peer(t: TestContext, ...args: string[]): Peer {
  const child: ChildProcess = spawn("python3", ["-S", script, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.onTestFinished(() => void child.kill());
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const device: Peer = {
    line: async () => String((await lines.next()).value),
    rest: async () => {
      const list = [];
      for (let step = await lines.next(); step.done !== true; step = await lines.next())
        list.push(step.value);
      return list;
    },
    stop: () => {
      child.kill();
      return device.rest();
    },
  };
  return device;
}

/** A relay to a port that loses this share of the datagrams in both directions. */
async function lossyPath(t: TestContext, port: number, lossRatio: number): Promise<Endpoint> {
  const relay = await proxy({ target: ["127.0.0.1", port], link: { lossRatio }, seed: 5 });
  t.onTestFinished(() => relay.close());
  return relay.address;
}

async function bound(t: TestContext, host = "127.0.0.1") {
  const s = socket(AF_INET, SOCK_DGRAM);
  t.onTestFinished(() => s.close());
  await s.bind([host, 0]);
  return s;
}

describe.for([0, 0.1, 0.3])("with a loss of %d in both directions", (lossRatio) => {
  // Most of the time is spent on waiting.
  const slow = { timeout: 60_000, concurrent: true };
  const patient = { giveUpMs: 25_000 };

  test("the device answers requests, and runs the handler once for each", slow, async (t) => {
    if (withoutPython !== undefined) t.skip(withoutPython);
    const device = peer(t, "serve");
    const to = await lossyPath(t, Number(await device.line()), lossRatio);
    const m = messages(await bound(t), patient);
    for (let number = 0; number < 5; number++) {
      const data = Buffer.alloc(number * 4000 + 8, `call${number}...`);
      const reply = await m.request(data, to, { timeoutMs: 30_000 });
      t.expect(reply.data).toEqual(Buffer.concat([data, data, data]));
    }
    await t
      .expect(m.request("failure.", to, { timeoutMs: 30_000 }))
      .rejects.toMatchObject({ code: "EPROTO" });
    const runs = [0, 1, 2, 3, 4].map((number) => `run call${number}...`);
    t.expect(await device.stop()).toEqual([...runs, "run failure."]);
  });

  test("the device sends requests, and the handler runs once for each", slow, async (t) => {
    if (withoutPython !== undefined) t.skip(withoutPython);
    const s = await bound(t);
    const m = messages(s);
    const runs: string[] = [];
    m.serve(({ data }) => {
      runs.push(data.toString().slice(0, 4));
      if (data.toString() === "fail") throw new Error("no");
      return Buffer.concat([Buffer.from("reply to "), data]);
    });
    const to = await lossyPath(t, s.getsockname().port, lossRatio);
    const replies = ["0", "1", "2", "3", "4"].map(() => `3009 reply to `);
    const lines = await peer(t, "request", String(to.port)).rest();
    t.expect(lines.slice(0, 5)).toEqual(replies);
    t.expect(lines[5]).toMatch(/^failed:/);
    t.expect(runs).toEqual(["0000", "1111", "2222", "3333", "4444", "fail"]);
  });

  test("messages of the device arrive once, and intact", slow, async (t) => {
    if (withoutPython !== undefined) t.skip(withoutPython);
    const s = await bound(t);
    const m = messages(s);
    const received: Message[] = [];
    void (async () => {
      for await (const message of m) received.push(message);
    })();
    const to = await lossyPath(t, s.getsockname().port, lossRatio);
    const lines = await peer(t, "send", String(to.port)).rest();
    const lengths = [0, 1, 1200, 1201, 60_000];
    t.expect(lines).toEqual(lengths.map((length) => `sent ${length}`));
    t.expect(received.map(({ data }) => data.length)).toEqual(lengths);
    const pattern = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
    for (const { data, channel } of received) {
      const whole = Math.floor(data.length / 256) * 256;
      t.expect(channel).toBe(7);
      t.expect(data.subarray(0, whole).equals(Buffer.alloc(whole, pattern))).toBe(true);
      t.expect(data.subarray(whole).toString()).toBe(".".repeat(data.length - whole));
    }
  });

  test("messages to the device arrive once, and intact", slow, async (t) => {
    if (withoutPython !== undefined) t.skip(withoutPython);
    const device = peer(t, "receive");
    const to = await lossyPath(t, Number(await device.line()), lossRatio);
    const m = messages(await bound(t), patient);
    const sent = [0, 1, 1200, 1201, 60_000].map((length) => Buffer.alloc(length, `message of ${length}`));
    for (const data of sent) await m.send(data, to, { channel: 9 });
    await t
      .expect(m.send(Buffer.alloc(100_001), to))
      .rejects.toMatchObject({ code: "EMSGSIZE", limit: 100_000 });
    t.expect(await device.stop()).toEqual(sent.map((data) => `${data.length} ${crc32(data)} 9 None`));
  });

  test("fleeting messages of the device that arrive are whole, and never twice", slow, async (t) => {
    if (withoutPython !== undefined) t.skip(withoutPython);
    const s = await bound(t);
    const m = messages(s);
    const received: number[] = [];
    void (async () => {
      for await (const { data } of m) {
        t.expect(data.equals(Buffer.alloc(5000, data[0]))).toBe(true);
        received.push(data[0] as number);
      }
    })();
    const to = await lossyPath(t, s.getsockname().port, lossRatio);
    await peer(t, "fleeting", String(to.port)).rest();
    // The last datagrams may still be on their way when the device ends.
    const least = lossRatio === 0 ? 20 : 1;
    await vi.waitFor(() => t.expect(received.length).toBeGreaterThanOrEqual(least), 60_000);
    t.expect(received).toEqual([...new Set(received)].sort((one, other) => one - other));
  });
});

/** The datagram of a request. */
function request(id: number, text: string): Buffer {
  const data = Buffer.from(text);
  const { length } = data;
  return frame({ kind: frameKind.request, flags: frameFlag.now, id, length, crc: crc32(data) }, data);
}

/** The report that all of a message has arrived. */
function report(id: number, { length }: { length: number }): Buffer {
  const index = Math.ceil(length / 1200);
  const crc = crc32(Buffer.alloc(length));
  const body = Buffer.from([0, index, 0, 3, 0, 0, 0, 0]);
  return frame({ kind: frameKind.report, id, index, length, crc }, body);
}

/** Waits for a datagram of a kind. */
async function nextOf(s: Socket, kind: number): Promise<Buffer> {
  for (;;) {
    const data = await s.recv(2048);
    if (((data[1] ?? 0) & 0x0f) === kind) return data;
  }
}

/** A long reply of the device, which is the same for everybody. */
const picture = { length: 20_000 };

test("an address that asks the device cannot guess the next token with which it proves itself", async (t) => {
  if (withoutPython !== undefined) t.skip(withoutPython);
  const device = peer(t, "serve");
  const to = ["127.0.0.1", Number(await device.line())] as const;
  const s = await bound(t);
  const tokens: number[] = [];
  for (const id of [1, 2]) {
    await s.sendto(request(id, "picture?"), to);
    tokens.push((await nextOf(s, frameKind.probe)).readUInt32BE(4));
    await s.sendto(report(id, picture), to);
  }
  t.expect((tokens[1] as number) - (tokens[0] as number)).not.toBe(1);
});

describe("an address that has proven nothing", { concurrent: true }, () => {
  /** Sends datagrams from the address of somebody else, and compares the bytes that this address gets with theirs. */
  async function expectFewBytes(
    t: TestContext,
    make: (device: readonly [string, number]) => Promise<Buffer[]>,
  ): Promise<void> {
    if (withoutPython !== undefined) t.skip(withoutPython);
    const device = peer(t, "serve");
    const to = ["127.0.0.1", Number(await device.line())] as const;
    const victim = await bound(t, "127.0.0.3");
    let received = 0;
    let sent = 0;
    victim.tap(({ direction, data }) => {
      if (direction === "in") received += data.length;
      else sent += data.length;
    });
    for (const datagram of await make(to)) await victim.sendto(datagram, to);
    const reading = (async () => {
      for await (const _ of victim);
    })();
    // The device answers one request after the other.
    const other = await bound(t, "127.0.0.2");
    const m = messages(other);
    await m.request("next", to, { timeoutMs: 60_000 });
    await victim.close();
    await reading.catch(() => undefined);
    t.expect(received).toBeGreaterThan(0);
    t.expect(received).toBeLessThanOrEqual(3 * sent);
  }

  const slow = { timeout: 90_000 };

  test(
    "gets at most three times the bytes of its request, if nobody reports the short reply",
    slow,
    async (t) => {
      await expectFewBytes(t, () => Promise.resolve([request(1, "a")]));
    },
  );

  test("gets at most three times the bytes of its request, if the reply is long", slow, async (t) => {
    await expectFewBytes(t, () => Promise.resolve([request(1, "picture?")]));
  });

  test("is not proven by the token of another address", slow, async (t) => {
    await expectFewBytes(t, async (to) => {
      const asking = await bound(t, "127.0.0.2");
      await asking.sendto(request(1, "picture?"), to);
      const token = (await nextOf(asking, frameKind.probe)).readUInt32BE(4);
      await asking.sendto(report(1, picture), to);
      const none = { size: 0, length: 0, crc: 0 };
      const proof = frame({ kind: frameKind.probeAck, id: token, ...none }, Buffer.alloc(0));
      return [proof, request(2, "picture?")];
    });
  });

  test("is not proven by reports of a reply whose bytes others know", slow, async (t) => {
    const crc = crc32(Buffer.from("aaa"));
    const about = { kind: frameKind.report, id: 1, length: 3, crc };
    const missing = frame({ ...about, index: 0 }, Buffer.from([0, 0, 0, 3, 0xff, 0xff, 0, 0]));
    const complete = frame({ ...about, index: 1 }, Buffer.from([0, 1, 0, 3, 0, 0, 0, 0]));
    const asked = [request(1, "a"), missing, complete, request(2, "picture?")];
    await expectFewBytes(t, () => Promise.resolve(asked));
  });
});
