/** Messages over real sockets of both drivers, and between them. */

import { fileURLToPath } from "node:url";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";

import { socket } from "datagram";
import { messages } from "datagram/message";
import { expect, test } from "vitest";

import { pattern } from "./tools.js";

test("messages of many sizes, requests and replies pass over loopback", async () => {
  await using s = socket();
  await using r = socket();
  await r.bind(["127.0.0.1", 0]);
  const to = r.getsockname();
  const [m, n] = [messages(s), messages(r)];
  const sizes = [0, 1, 1200, 5000, 65_536, 1_000_000, 2_000_000];
  const arrived = (async () => {
    const found: number[] = [];
    for await (const { data } of n) {
      expect(data.equals(pattern(data.length))).toBe(true);
      found.push(data.length);
      if (found.length === sizes.length) break;
    }
    return found;
  })();
  for (const bytes of sizes) await m.send(pattern(bytes), to);
  expect(await arrived).toEqual(sizes);
  n.serve(({ data }) => pattern(Number(data.toString())));
  const replies = await Promise.all(sizes.map((bytes) => m.request(`${bytes}`, to)));
  expect(replies.map(({ data }) => data.length)).toEqual(sizes);
  await expect(r.recvfrom(10)).rejects.toMatchObject({ code: "EBUSY" });
});

test("a send to a port without a socket fails fast", async (context) => {
  await using s = socket();
  if (!s.capabilities.icmpErrors.available) {
    context.skip("this driver reports no ICMP errors");
    return;
  }
  await using r = socket();
  await r.bind(["127.0.0.1", 0]);
  const to = r.getsockname();
  await r.close();
  await expect(messages(s).send("hello", to)).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

test("a peer that echoes each datagram fails a send, and nothing is delivered", async () => {
  await using s = socket();
  await using echo = socket();
  await echo.bind(["127.0.0.1", 0]);
  void (async () => {
    for await (const datagram of echo) await datagram.reply(datagram.data);
  })();
  const m = messages(s);
  for (const data of ["hello", pattern(100_000)]) {
    await expect(m.send(data, echo.getsockname())).rejects.toMatchObject({ code: "EPROTONOSUPPORT" });
  }
  expect(m.stats()).toMatchObject({ received: 0, partialBytes: 0 });
});

test("open messages keep no process alive, and a call that waits does", () => {
  const index = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
  const message = fileURLToPath(new URL("../../dist/message/index.js", import.meta.url));
  const program = `
    const { socket } = await import(${JSON.stringify(index)});
    const { messages } = await import(${JSON.stringify(message)});
    const [s, r] = [socket(), socket()];
    await r.bind(["127.0.0.1", 0]);
    const [m, n] = [messages(s), messages(r)];
    await m.send("hello", r.getsockname());
    const { value } = await n[Symbol.asyncIterator]().next();
    console.log(value.data.toString());
  `;
  const { stdout, status } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    timeout: 120_000,
  });
  expect([stdout.toString(), status]).toEqual(["hello\n", 0]);
});

test("a request that waits for a slow handler keeps its process alive", async ({ onTestFinished }) => {
  const s = socket();
  onTestFinished(() => s.close());
  await s.bind(["127.0.0.1", 0]);
  let answer: ((reply: string) => void) | undefined;
  messages(s).serve(() => new Promise<string>((resolve) => (answer = resolve)));
  const index = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
  const message = fileURLToPath(new URL("../../dist/message/index.js", import.meta.url));
  const program = `
    const { socket } = await import(${JSON.stringify(index)});
    const { messages } = await import(${JSON.stringify(message)});
    // The timer does not keep the process alive: the text comes only if the request does.
    setTimeout(() => console.log("waits"), 300).unref();
    const { data } = await messages(socket()).request("?", ["127.0.0.1", ${s.getsockname().port}]);
    console.log(data.toString());
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program]);
  let output = "";
  child.stdout.on("data", (bytes: Buffer) => {
    output += bytes.toString();
    if (output === "waits\n") answer?.("late");
  });
  expect(await once(child, "close")).toEqual([0, null]);
  expect(output).toBe("waits\nlate\n");
});
