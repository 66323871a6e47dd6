import { expect } from "vitest";

import { contract, failure, numbered, soon, texts, turn } from "./world.js";

// semantics: order
contract("sendto and sendMany to one destination arrive in the order of the calls", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const to = receiver.getsockname();
  const sends: Promise<number>[] = [];
  for (let at = 0; at < 300; at += 3) {
    sends.push(sender.sendto(`${at}`, to), sender.sendMany([`${at + 1}`, `${at + 2}`], to));
  }
  await Promise.all(sends);
  expect(await texts(receiver, 300)).toEqual(numbered(300));
});

// semantics: order
contract("send, sendto to the peer and sendMany arrive in the order of the calls", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const to = receiver.getsockname();
  await sender.connect(to);
  const sends: Promise<number>[] = [];
  for (let at = 0; at < 300; at += 3) {
    sends.push(sender.send(`${at}`), sender.sendMany([`${at + 1}`]), sender.sendto(`${at + 2}`, to));
  }
  await Promise.all(sends);
  expect(await texts(receiver, 300)).toEqual(numbered(300));
});

// semantics: order
contract("sends to many destinations in turn keep the order of each destination", async ({ bound }) => {
  const sender = await bound();
  const receivers = await Promise.all(numbered(8).map(() => bound()));
  const rounds = numbered(40).flatMap((text) =>
    receivers.map((receiver) => sender.sendto(text, receiver.getsockname())),
  );
  await Promise.all(rounds);
  for (const receiver of receivers) expect(await texts(receiver, 40)).toEqual(numbered(40));
});

// semantics: boundaries
contract(
  "runs of equal datagrams with shorter, longer and empty ones between keep every boundary",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const to = receiver.getsockname();
    const sizes = [64, 64, 32, 64, 64, 0, 64, 0, 0, 65, 65, 1, 1400, 1400, 1400, 7, 1400, 9000, 9000, 0, 64];
    const payloads = sizes.map((size, index) => Buffer.alloc(size, `${index % 10}`));
    await Promise.all(payloads.map((payload) => sender.sendto(payload, to)));
    await sender.sendMany(payloads, to);
    for (const expected of [...payloads, ...payloads]) {
      expect((await receiver.recv(65_536, soon)).equals(expected)).toBe(true);
    }
  },
);

// semantics: order
contract("datagrams from many peers to one socket keep each peer's order", async ({ bound }) => {
  const receiver = await bound();
  const senders = await Promise.all(numbered(4).map(() => bound()));
  const to = receiver.getsockname();
  await Promise.all(numbered(50).flatMap((text) => senders.map((sender) => sender.sendto(text, to))));
  const byPort = new Map(senders.map((sender) => [sender.getsockname().port, [] as string[]]));
  for (let count = 0; count < 200; count++) {
    const [data, source] = await receiver.recvfrom(64, soon);
    byPort.get(source.port)?.push(data.toString());
  }
  expect([...byPort.values()]).toEqual(senders.map(() => numbered(50)));
});

// semantics: order-barriers
contract(
  "a send after a bind that is not awaited leaves from the bound address",
  async ({ bound, localhost, socket }) => {
    const [sender, receiver] = [socket(), await bound()];
    const binding = sender.bind([localhost(), 0]);
    const sending = sender.sendto("hello", receiver.getsockname());
    await Promise.all([binding, sending]);
    const [, source] = await receiver.recvfrom(64, soon);
    expect(source.equals(sender.getsockname())).toBe(true);
    expect(source.host).toBe(localhost());
  },
);

// semantics: order-barriers
contract(
  "a bind after a sendto that is not awaited happens second: EINVAL",
  async ({ bound, localhost, socket }) => {
    const [sender, receiver] = [socket(), await bound()];
    const sending = sender.sendto("hello", receiver.getsockname());
    const binding = failure(sender.bind([localhost(), 0]));
    await expect(sending).resolves.toBe(5);
    await expect(binding).resolves.toMatchObject({ code: "EINVAL" });
  },
);

// semantics: order-barriers
contract("each send goes to the peer of the connect before it, though none is awaited", async ({ bound }) => {
  const [sender, one, other] = [await bound(), await bound(), await bound()];
  await Promise.all([
    sender.sendto("first", one.getsockname()),
    sender.connect(one.getsockname()),
    sender.send("second"),
    sender.sendMany(["third", "fourth"]),
    sender.connect(other.getsockname()),
    sender.send("fifth"),
    sender.connect(null),
    sender.sendto("sixth", one.getsockname()),
  ]);
  expect(await texts(one, 5)).toEqual(["first", "second", "third", "fourth", "sixth"]);
  expect(await texts(other, 1)).toEqual(["fifth"]);
});

// semantics: order-barriers
contract("a send after connect(null) that is not awaited is EDESTADDRREQ", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await sender.connect(receiver.getsockname());
  const last = sender.send("last");
  const dissolving = sender.connect(null);
  await expect(failure(sender.send("late"))).resolves.toMatchObject({ code: "EDESTADDRREQ" });
  await Promise.all([last, dissolving]);
  expect(await texts(receiver, 1)).toEqual(["last"]);
});

// semantics: order-after-failure
contract("a failed barrier does not stop later calls", async ({ bound, localhost }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const before = sender.sendto("before", receiver.getsockname());
  const failing = failure(sender.bind([localhost(), 0]));
  const behind = sender.sendto("behind", receiver.getsockname());
  await expect(failing).resolves.toMatchObject({ code: "EINVAL" });
  await Promise.all([before, behind]);
  expect(await texts(receiver, 2)).toEqual(["before", "behind"]);
});

// semantics: order-after-failure
contract("a failed connect does not undo the next one", async ({ bound, broadcast }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const failing = failure(sender.connect([broadcast, 9000]));
  const succeeding = sender.connect(receiver.getsockname());
  const early = sender.send("early");
  await expect(failing).resolves.toMatchObject({ code: "EACCES" });
  await Promise.all([succeeding, early]);
  await sender.send("late");
  expect(await texts(receiver, 2)).toEqual(["early", "late"]);
});

// semantics: close-sends
contract("close() after sendto: datagrams with a known address are sent first", async ({ bound, socket }) => {
  const [sender, receiver] = [socket(), await bound()];
  const to = receiver.getsockname();
  const sends = numbered(100).map((text) => sender.sendto(text, to));
  const many = sender.sendMany(numbered(100, "m"), to);
  await sender.close();
  await expect(Promise.all(sends)).resolves.toHaveLength(100);
  await expect(many).resolves.toBe(100);
  expect(await texts(receiver, 200)).toEqual([...numbered(100), ...numbered(100, "m")]);
});

// semantics: order-barriers
contract(
  "close() after sends and connects that are not awaited: all of them finish first",
  async ({ bound, socket }) => {
    const [sender, one, other] = [socket(), await bound(), await bound()];
    const calls = [
      sender.sendto("first", one.getsockname()),
      sender.connect(one.getsockname()),
      sender.send("second"),
      sender.connect(other.getsockname()),
      sender.send("third"),
    ];
    await sender.close();
    await expect(Promise.all(calls)).resolves.toEqual([5, undefined, 6, undefined, 5]);
    expect(await texts(one, 2)).toEqual(["first", "second"]);
    expect(await texts(other, 1)).toEqual(["third"]);
  },
);

// semantics: order
contract("a reply overtakes no datagram: answers arrive in the order of the calls", async ({ bound }) => {
  const [server, client] = [await bound(), await bound()];
  const serving = (async () => {
    for (let count = 0; count < 50; count++) {
      const request = await server.recvmsg(soon);
      void request.reply(request.data);
    }
    await turn(server);
  })();
  await Promise.all(numbered(50).map((text) => client.sendto(text, server.getsockname())));
  expect(await texts(client, 50)).toEqual(numbered(50));
  await serving;
});
