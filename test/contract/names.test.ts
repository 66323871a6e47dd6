import { expect } from "vitest";

import { contract, failure, numbered, soon, texts } from "./world.js";

// semantics: name
contract("sendto a name reaches the host with that name", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await expect(sender.sendto("hello", ["localhost", receiver.getsockname().port])).resolves.toBe(5);
  const [data, source] = await receiver.recvfrom(64, soon);
  expect(data.toString()).toBe("hello");
  expect(source.equals(sender.getsockname())).toBe(true);
});

// semantics: name
contract("bind to a name and connect to a name resolve it", async ({ bound, localhost, socket }) => {
  const [server, client] = [socket(), await bound()];
  await server.bind(["localhost", 0]);
  expect(server.getsockname().host).toBe(localhost());
  await client.connect(["localhost", server.getsockname().port]);
  expect(client.getpeername().equals(server.getsockname())).toBe(true);
  await client.send("hello");
  expect(await texts(server, 1)).toEqual(["hello"]);
});

// semantics: name-slow
contract(
  "datagrams to one name arrive in the order of the calls, over all kinds of send",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const to = ["localhost", receiver.getsockname().port] as const;
    const sends: Promise<number>[] = [];
    for (let at = 0; at < 90; at += 3) {
      sends.push(sender.sendto(`${at}`, to), sender.sendMany([`${at + 1}`, `${at + 2}`], to));
    }
    await Promise.all(sends);
    expect(await texts(receiver, 90)).toEqual(numbered(90));
  },
);

// semantics: data-copied
contract("the buffer of a datagram that waits for a name is copied at the call too", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const reused = Buffer.from("right");
  const sending = sender.sendto(reused, ["localhost", receiver.getsockname().port]);
  reused.fill("x");
  await sending;
  expect(await texts(receiver, 1)).toEqual(["right"]);
});

// semantics: name-slow
contract("a name that is being resolved delays only datagrams to its own destination", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const settled: string[] = [];
  const failing = failure(sender.sendto("x", ["nosuch-slow.invalid", 9000])).then(({ code }) => {
    settled.push("the name");
    return code;
  });
  const passing = Promise.all(numbered(10).map((text) => sender.sendto(text, receiver.getsockname()))).then(
    () => settled.push("the others"),
  );
  await passing;
  expect(await texts(receiver, 10)).toEqual(numbered(10));
  expect(["ENOTFOUND", "EAI_AGAIN"]).toContain(await failing);
  expect(settled).toEqual(["the others", "the name"]);
});

// semantics: order-barriers
contract("connect to a name is a barrier: a later send waits for the name", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const connecting = sender.connect(["localhost", receiver.getsockname().port]);
  const sending = sender.send("hello");
  await Promise.all([connecting, sending]);
  expect(await texts(receiver, 1)).toEqual(["hello"]);
});

// semantics: order-barriers
contract("datagrams to a name that were sent before connect leave before it", async ({ bound }) => {
  const [sender, one, other] = [await bound(), await bound(), await bound()];
  const before = sender.sendto("before", ["localhost", one.getsockname().port]);
  const connecting = sender.connect(other.getsockname());
  const behind = sender.send("behind");
  await Promise.all([before, connecting, behind]);
  expect(await texts(one, 1)).toEqual(["before"]);
  expect(await texts(other, 1)).toEqual(["behind"]);
});

// semantics: data-limit
contract("a too large datagram to a name is EMSGSIZE, as to a literal", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const to = ["localhost", receiver.getsockname().port] as const;
  await expect(failure(sender.sendto(Buffer.alloc(65_508), to))).resolves.toMatchObject({
    code: "EMSGSIZE",
    limit: 65_507,
  });
  await expect(sender.sendto("hello", to)).resolves.toBe(5);
  expect(await texts(receiver, 1)).toEqual(["hello"]);
});
