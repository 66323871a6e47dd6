import { type Socket, TruncatedError } from "datagram";
import { expect } from "vitest";

import { contract, failure, numbered, soon, texts } from "./world.js";

/** The receive calls that can cut a datagram. */
const calls: Readonly<Record<string, (s: Socket, bufsize: number) => Promise<unknown>>> = {
  recvfrom: (s, bufsize) => s.recvfrom(bufsize),
  recv: (s, bufsize) => s.recv(bufsize),
  recvmsg: (s, bufsize) => s.recvmsg({ bufsize }),
};

/** The error of a call whose datagram was longer than its size. */
async function cut(call: Promise<unknown>): Promise<TruncatedError> {
  const error = await failure(call);
  if (error instanceof TruncatedError) return error;
  throw error;
}

for (const [syscall, call] of Object.entries(calls)) {
  for (const when of ["waited", "had it at once"]) {
    // semantics: cut-strict
    contract(
      `strict: a ${syscall} that ${when} and would cut a datagram rejects with it, and the next call returns the next`,
      async ({ bound }) => {
        const [sender, receiver] = [await bound(), await bound(undefined, { strict: true })];
        const to = receiver.getsockname();
        receiver.settimeout(5);
        const early = when === "waited" ? cut(call(receiver, 4)) : undefined;
        await sender.sendMany(early ? ["0123456789", "next"] : ["before", "0123456789", "next"], to);
        if (!early) expect(await texts(receiver, 1)).toEqual(["before"]);
        const error = await (early ?? cut(call(receiver, 4)));
        const { host: address, port } = sender.getsockname();
        expect(error).toMatchObject({ name: "TruncatedError", code: "EMSGSIZE", errno: 90, limit: 4 });
        expect(error).toMatchObject({ syscall, address, port });
        expect(error.message).toContain("10 bytes");
        const { data, size, truncated, source } = error.datagram;
        expect([data.toString(), size, truncated]).toEqual(["0123", 10, true]);
        expect(source.equals(sender.getsockname())).toBe(true);
        expect(await texts(receiver, 1)).toEqual(["next"]);
      },
    );
  }

  // semantics: strict-whole
  contract(`strict: a ${syscall} whose datagram fits returns it`, async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound(undefined, { strict: true })];
    receiver.settimeout(5);
    await sender.sendMany(["0123", "012", ""], receiver.getsockname());
    for (const bufsize of [4, 4, 0])
      await expect(call(receiver, bufsize), String(bufsize)).resolves.toBeDefined();
    expect(receiver.stats()).toMatchObject({ truncated: 0, received: { datagrams: 3, bytes: 7 } });
  });
}

// semantics: cut-strict
contract(
  "strict: a cut datagram is counted as received and cut, and is an event, as without strict",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound(undefined, { strict: true })];
    const events: string[] = [];
    receiver.on("truncated", ({ data, size }) => events.push(`${data.toString()} of ${size}`));
    await sender.sendMany(["0123456789", "whole", "012345"], receiver.getsockname());
    await failure(receiver.recv(4, soon));
    expect(await texts(receiver, 1)).toEqual(["whole"]);
    await failure(receiver.recv(0, soon));
    expect(events).toEqual(["0123 of 10", " of 6"]);
    expect(receiver.stats()).toMatchObject({ truncated: 2, received: { datagrams: 3, bytes: 21 } });
  },
);

// semantics: cut-strict
contract("strict: the next call after one that would cut gets its own datagram", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound(undefined, { strict: true })];
  const first = failure(receiver.recv(4, soon));
  const second = receiver.recv(64, soon);
  await sender.sendMany(["0123456789", "second"], receiver.getsockname());
  expect(await first).toMatchObject({ code: "EMSGSIZE" });
  expect((await second).toString()).toBe("second");
});

// semantics: strict-whole
contract("strict: recvMany, for await and recvmsg without a size cut nothing", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound(undefined, { strict: true })];
  receiver.settimeout(5);
  await sender.sendMany(numbered(3, "a long datagram "), receiver.getsockname());
  const found = await receiver.recvMany(1);
  for await (const datagram of receiver) {
    found.push(datagram);
    break;
  }
  found.push(await receiver.recvmsg());
  expect(found.map(({ data }) => data.toString())).toEqual(numbered(3, "a long datagram "));
  expect(receiver.stats().truncated).toBe(0);
});

// semantics: cut-strict
contract("strict: the datagram of the error can be answered", async ({ bound }) => {
  const [client, server] = [await bound(), await bound(undefined, { strict: true })];
  await client.sendto("a long question", server.getsockname());
  const { datagram } = await cut(server.recvfrom(4, soon));
  await datagram.reply("too long");
  expect(await texts(client, 1)).toEqual(["too long"]);
});

// semantics: cut-recvfrom
contract("without strict a cut datagram is not an error", async ({ bound }) => {
  for (const options of [undefined, {}, { strict: false }, { strict: undefined }]) {
    const [sender, receiver] = [await bound(), await bound(undefined, options)];
    await sender.sendto("0123456789", receiver.getsockname());
    expect((await receiver.recv(4, soon)).toString()).toBe("0123");
  }
});
