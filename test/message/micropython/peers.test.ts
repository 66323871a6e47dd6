/** The device's side under CPython, in both directions, through a bad network. */

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";

import { AF_INET, type Endpoint, SOCK_DGRAM, socket } from "datagram";
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

async function bound(t: TestContext) {
  const s = socket(AF_INET, SOCK_DGRAM);
  t.onTestFinished(() => s.close());
  await s.bind(["127.0.0.1", 0]);
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

test("an address that asks the device cannot guess the next token with which it proves itself", async (t) => {
  if (withoutPython !== undefined) t.skip(withoutPython);
  const device = peer(t, "serve");
  const port = Number(await device.line());
  const s = await bound(t);
  const tokens: number[] = [];
  for (const id of [1, 2]) {
    const data = Buffer.alloc(100, `${id}`);
    const about = { kind: frameKind.request, flags: frameFlag.now, id, length: 100, crc: crc32(data) };
    await s.sendto(frame(about, data), ["127.0.0.1", port]);
    for await (const { data: answer } of s) {
      if (answer[1] === frameKind.probe) tokens.push(answer.readUInt32BE(4));
      if (tokens.length === id) break;
    }
  }
  t.expect((tokens[1] as number) - (tokens[0] as number)).not.toBe(1);
});
