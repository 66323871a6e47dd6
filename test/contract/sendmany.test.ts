import { SOL_SOCKET, SO_BROADCAST } from "datagram";
import { expect } from "vitest";

import { contract, failure, numbered, soon, texts } from "./world.js";

const tooBig = Buffer.alloc(65_508);

/** Memory that can be resized, which Node 20 has and the types of ES2022 lack. */
const ResizableMemory = ArrayBuffer as unknown as new (
  bytes: number,
  options: { maxByteLength: number },
) => ArrayBuffer & { resize(bytes: number): void };

// semantics: sendmany
contract(
  "sendMany(payloads, address) returns the number of sent datagrams, and they arrive in order",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    await expect(sender.sendMany(numbered(300), receiver.getsockname())).resolves.toBe(300);
    expect(await texts(receiver, 300)).toEqual(numbered(300));
    expect(sender.stats().sent.datagrams).toBe(300);
  },
);

// semantics: sendmany
contract("sendMany(records) sends each to its own address", async ({ bound }) => {
  const sender = await bound();
  const receivers = await Promise.all(numbered(3).map(() => bound()));
  const records = numbered(30).flatMap((data) =>
    receivers.map((receiver) => ({ data, address: receiver.getsockname() })),
  );
  await expect(sender.sendMany(records)).resolves.toBe(90);
  for (const receiver of receivers) expect(await texts(receiver, 30)).toEqual(numbered(30));
});

// semantics: sendmany
contract("sendMany without an address sends to the connected peer", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await sender.connect(receiver.getsockname());
  await expect(sender.sendMany(["a", "b"])).resolves.toBe(2);
  await expect(sender.sendMany([{ data: "c" }])).resolves.toBe(1);
  expect(await texts(receiver, 3)).toEqual(["a", "b", "c"]);
});

// semantics: sendmany
contract("sendMany accepts more datagrams and more bytes than one batch holds", async ({ bound }) => {
  const sender = await bound();
  const receivers = await Promise.all(numbered(8).map(() => bound()));
  const payloads = numbered(200).map((text) => text.padEnd(400));
  const records = payloads.flatMap((data) =>
    receivers.map((receiver) => ({ data, address: receiver.getsockname() })),
  );
  await expect(sender.sendMany(records)).resolves.toBe(1600);
  for (const receiver of receivers) expect(await texts(receiver, 200)).toEqual(payloads);
});

// semantics: sendmany
contract("sendMany accepts any iterable, also an empty one", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const to = receiver.getsockname();
  const generate = function* (): Generator<string> {
    yield "a";
    yield "b";
  };
  await expect(sender.sendMany(generate(), to)).resolves.toBe(2);
  await expect(sender.sendMany(new Set(["c"]), to)).resolves.toBe(1);
  await expect(sender.sendMany([], to)).resolves.toBe(0);
  await expect(sender.sendMany([])).resolves.toBe(0);
  expect(await texts(receiver, 3)).toEqual(["a", "b", "c"]);
});

// semantics: data-borrowed
contract("sendMany uses payloads until it settles, and one buffer may be in it twice", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const payload = Buffer.from("same");
  await sender.sendMany([payload, payload, payload.subarray(1)], receiver.getsockname());
  payload.fill("x");
  expect(await texts(receiver, 3)).toEqual(["same", "same", "ame"]);
});

// semantics: sendmany-failure
contract(
  "an error of sendMany has the index of the first failure and the number of sent datagrams",
  async (world) => {
    const [sender, receiver] = [await world.bound(), await world.bound()];
    const to = receiver.getsockname();
    const error = await failure(sender.sendMany(["a", tooBig, "b", tooBig, "c"], to));
    expect(error).toMatchObject({ code: "EMSGSIZE", limit: 65_507, index: 1, sent: 3 });
    expect(error).toMatchObject({ address: to.host, port: to.port });
    expect(await texts(receiver, 3)).toEqual(["a", "b", "c"]);
  },
);

// semantics: sendmany-failure
contract("a datagram of sendMany that the system refuses does not stop the others", async (world) => {
  const [sender, receiver] = [await world.bound(), await world.bound()];
  const address = receiver.getsockname();
  const forbidden = [world.broadcast, 9] as const;
  const error = await failure(
    sender.sendMany([
      { data: "a", address },
      { data: "x", address: forbidden },
      { data: "b", address },
      { data: "x", address: forbidden },
      { data: "c", address },
    ]),
  );
  expect(error).toMatchObject({ code: "EACCES", address: world.broadcast, port: 9, index: 1, sent: 3 });
  expect(await texts(receiver, 3)).toEqual(["a", "b", "c"]);
  sender.setsockopt(SOL_SOCKET, SO_BROADCAST, true);
  await expect(sender.sendMany([{ data: "x", address: forbidden }])).resolves.toBe(1);
});

// semantics: sendmany-failure
contract("if every datagram of sendMany fails, index and sent are 0", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const error = await failure(sender.sendMany([tooBig, tooBig], receiver.getsockname()));
  expect(error).toMatchObject({ code: "EMSGSIZE", index: 0, sent: 0 });
  expect(sender.stats()).toMatchObject({ sent: { datagrams: 0 }, tooBig: 2 });
});

// semantics: sendmany-failure
contract("a name that does not resolve fails only its own datagrams of sendMany", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const address = receiver.getsockname();
  const error = await failure(
    sender.sendMany([
      { data: "a", address },
      { data: "x", address: ["nosuch.invalid", 9000] },
      { data: "b", address },
    ]),
  );
  expect(["ENOTFOUND", "EAI_AGAIN"]).toContain(error.code);
  expect(error).toMatchObject({ address: "nosuch.invalid", port: 9000, index: 1, sent: 2 });
  expect(await texts(receiver, 2)).toEqual(["a", "b"]);
});

// semantics: sendmany-bad-item
contract("a bad item of sendMany is refused with its index, before anything is sent", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const to = receiver.getsockname();
  await expect(sender.sendMany(["a", 5 as never], to)).rejects.toMatchObject({
    name: "TypeError",
    code: "ERR_INVALID_ARG_TYPE",
    index: 1,
    sent: 0,
  });
  const badPort = [
    { data: "a", address: to },
    { data: "b", address: to },
    { data: "c", address: [to.host, 65_536] as const },
  ];
  await expect(sender.sendMany(badPort)).rejects.toMatchObject({
    name: "RangeError",
    code: "ERR_SOCKET_BAD_PORT",
    index: 2,
    sent: 0,
  });
  await sender.sendto("marker", to);
  expect(await texts(receiver, 1)).toEqual(["marker"]);
});

// semantics: sendmany-bad-item
contract("sendMany of one Buffer asks for an array of payloads", async ({ bound }) => {
  const sender = await bound();
  for (const items of [Buffer.from("text"), new Uint8Array(), new Uint16Array(2)]) {
    await expect(sender.sendMany(items as never, sender.getsockname())).rejects.toThrow(
      "the first argument must be an array of payloads",
    );
  }
});

// semantics: sendmany-bad-item
contract("sendMany of a value that is not iterable is refused with a TypeError", async ({ bound }) => {
  const sender = await bound();
  for (const items of ["text", 5, null, undefined, {}, { data: "x" }, true]) {
    await expect(sender.sendMany(items as never, sender.getsockname())).rejects.toMatchObject({
      name: "TypeError",
      code: "ERR_INVALID_ARG_TYPE",
    });
  }
});

// semantics: sendmany-bad-item
contract(
  "sendMany without a destination is EDESTADDRREQ with the index, and sends nothing",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const address = receiver.getsockname();
    const error = await failure(sender.sendMany([{ data: "a", address }, { data: "b" }]));
    expect(error).toMatchObject({ code: "EDESTADDRREQ", syscall: "sendMany", index: 1, sent: 0 });
    await sender.sendto("marker", address);
    expect((await receiver.recv(64, soon)).toString()).toBe("marker");
  },
);

// semantics: data-moved
contract(
  "a payload of sendMany that is transferred away fails alone, and the socket stays usable",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const gone = new Uint8Array(10);
    const sending = sender.sendMany([gone, "kept"], receiver.getsockname()).catch((error: unknown) => error);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    expect(await sending).toMatchObject({ index: 0, sent: 1 });
    await sender.sendto("after", receiver.getsockname());
    expect(await texts(receiver, 2)).toEqual(["kept", "after"]);
  },
);

// semantics: data-moved
contract("a payload of sendMany that becomes too large for a datagram fails alone", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const memory = new ResizableMemory(10, { maxByteLength: 200_000 });
  const sending = sender
    .sendMany([new Uint8Array(memory), "kept"], receiver.getsockname())
    .catch((error: unknown) => error);
  memory.resize(100_000);
  expect(await sending).toMatchObject({ index: 0, sent: 1, code: "EFAULT" });
  expect(await texts(receiver, 1)).toEqual(["kept"]);
});

// semantics: sendmany
contract("a generator of datagrams to several peers sends each to its own peer", async ({ bound }) => {
  const [sender, a, b, peer] = [await bound(), await bound(), await bound(), await bound()];
  function* items(): Generator<{ data: string; address: ReturnType<typeof a.getsockname> }> {
    for (const data of ["0", "1"]) yield { data, address: a.getsockname() };
    for (const data of ["2", "3"]) yield { data, address: b.getsockname() };
    yield { data: "4", address: a.getsockname() };
  }
  expect(await sender.sendMany(items())).toBe(5);
  expect(await texts(a, 3)).toEqual(["0", "1", "4"]);
  expect(await texts(b, 2)).toEqual(["2", "3"]);
  await sender.connect(peer.getsockname());
  if (sender.capabilities.sendtoWhileConnected.available) {
    expect(await sender.sendMany(items())).toBe(5);
    expect(await texts(a, 3)).toEqual(["0", "1", "4"]);
  }
  await sender.send("marker");
  expect(await texts(peer, 1)).toEqual(["marker"]);
});

// semantics: data-moved
contract("a payload that shrinks while sendMany still reads the others fails alone", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const memory = new ResizableMemory(60, { maxByteLength: 60 });
  function* items(): Generator<Uint8Array | string> {
    yield new Uint8Array(memory);
    memory.resize(5);
    yield "kept";
  }
  const error: unknown = await sender
    .sendMany(items(), receiver.getsockname())
    .catch((reason: unknown) => reason);
  expect(error).toMatchObject({ index: 0, sent: 1, code: "EFAULT" });
  expect(await texts(receiver, 1)).toEqual(["kept"]);
});

// semantics: sendmany-failure
contract("of two sends in one tick, the one that fails rejects, and the other does not", async (world) => {
  const [sender, receiver] = [await world.bound(), await world.bound()];
  const outcomes = await Promise.allSettled([
    sender.sendto("refused", [world.broadcast, 9000]),
    sender.sendto("ok", receiver.getsockname()),
    sender.sendto("refused too", [world.broadcast, 9000]),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "rejected"]);
  expect(sender.stats().sendErrors).toEqual({ EACCES: 2 });
  expect(await texts(receiver, 1)).toEqual(["ok"]);
});

// semantics: send-system-calls
contract(
  "records with separate address objects take as few system calls as pairs",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const { host, port } = receiver.getsockname();
    const items = numbered(1000).map((data) => ({
      data: data.padStart(8),
      address: { address: host, port },
    }));
    const before = sender.stats().systemCalls?.send ?? 0;
    await sender.sendMany(items);
    expect((sender.stats().systemCalls?.send ?? Infinity) - before).toBe(1);
    const reads = receiver.stats().systemCalls?.receive ?? 0;
    const found: string[] = [];
    while (found.length < 1000)
      found.push(...(await receiver.recvMany(1000, soon)).map(({ data }) => data.toString().trim()));
    expect(found).toEqual(numbered(1000));
    // Datagrams that were not sent as runs are not merged on this host.
    const most = sender.capabilities.segmentation.available ? 4 : 1000 / 8;
    expect((receiver.stats().systemCalls?.receive ?? Infinity) - reads).toBeLessThanOrEqual(most);
  },
  "coalescing",
);
