import type { Datagram, Socket } from "datagram";
import { expect } from "vitest";

import { type World, contract, failure, families, soon, texts, pause } from "./world.js";

for (const [ip, family] of families) {
  // semantics: refused, connect-refused
  contract(
    `the receive call of a connected socket whose peer does not listen, over ${ip}, is ECONNREFUSED`,
    async (world) => {
      const [client, gone] = [await world.bound(family), await world.nobody(family)];
      await client.connect(gone);
      await client.send("anybody?");
      await expect(failure(client.recvfrom(64, soon))).resolves.toMatchObject({ code: "ECONNREFUSED" });
    },
  );
}

// semantics: refused
contract("ECONNREFUSED ends one waiting receive call, and only one", async ({ bound, nobody }) => {
  const [client, gone] = [await bound(), await nobody()];
  await client.connect(gone);
  const [first, second] = [client.recvfrom(64, soon), client.recvfrom(64, { timeoutMs: 200 })];
  await client.send("anybody?");
  const [refused, late] = await Promise.all([failure(first), failure(second)]);
  expect(refused).toMatchObject({ code: "ECONNREFUSED" });
  expect(refused.message).toContain(`${gone}`);
  expect(late).toMatchObject({ code: "ETIMEDOUT" });
});

// semantics: refused
contract(
  "a refused socket stays usable: it reaches its peer when the peer listens",
  async ({ bound, nobody, socket }) => {
    const [client, gone, peer] = [await bound(), await nobody(), socket()];
    await client.connect(gone);
    await client.send("anybody?");
    await expect(failure(client.recv(64, soon))).resolves.toMatchObject({ code: "ECONNREFUSED" });
    await peer.bind(gone);
    await client.send("hello");
    const request = await peer.recvmsg(soon);
    await request.reply("here");
    expect(await texts(client, 1)).toEqual(["here"]);
  },
);

// semantics: iteration-icmp
contract("an ICMP error never ends an iteration", async (world) => {
  expect(await twoAfterRefusal(world, (client) => client)).toEqual(["1", "2"]);
});

// semantics: batches-icmp
contract("an ICMP error never ends batches()", async (world) => {
  expect(await twoAfterRefusal(world, (client) => client.batches({ max: 1 }))).toEqual(["1", "2"]);
});

// semantics: stats
contract(
  "an ICMP error is in the ledger and in an event, with its destination and code",
  async ({ bound, nobody }) => {
    const [client, gone] = [await bound(), await nobody()];
    await client.connect(gone);
    expect(client.stats().unreachable).toEqual({});
    const reports: string[] = [];
    client.on("unreachable", ({ destination, code }) => reports.push(`${destination} ${code}`));
    await client.send("anybody?");
    await failure(client.recv(64, soon));
    expect(reports).toEqual([`${gone} ECONNREFUSED`]);
    expect(client.stats().unreachable).toEqual({ ECONNREFUSED: 1 });
  },
);

// semantics: refused-forgotten
contract("connect to another peer discards ICMP errors about the last one", async ({ bound, nobody }) => {
  const [client, gone, peer] = [await bound(), await nobody(), await bound()];
  await client.connect(gone);
  const refused = new Promise((resolve) => client.once("unreachable", resolve));
  const waiting = failure(client.recv(64, soon));
  await client.send("anybody?");
  await Promise.all([refused, waiting]);
  await client.connect(peer.getsockname());
  await peer.sendto("hello", client.getsockname());
  expect(await texts(client, 1)).toEqual(["hello"]);
  await expect(client.send("answer")).resolves.toBe(6);
  expect(await texts(peer, 1)).toEqual(["answer"]);
});

// semantics: refused
contract("an ICMP error about the connected peer rejects the next send too", async ({ bound, nobody }) => {
  const [client, gone] = [await bound(), await nobody()];
  await client.connect(gone);
  await client.send("anybody?");
  await pause(client, 50);
  await expect(failure(client.send("still nobody?"))).resolves.toMatchObject({ code: "ECONNREFUSED" });
});

// semantics: refused-forgotten
contract(
  "an ICMP error about one peer fails no call about the next peer",
  async ({ bound, nobody, socket }) => {
    const [live, gone, client] = [await bound(), await nobody(), socket()];
    await client.connect(gone);
    await client.send("anybody?");
    await client.connect(null);
    await client.sendto("to the living", live.getsockname());
    await client.connect(live.getsockname());
    await client.send("to the living again");
    expect(await texts(live, 2)).toEqual(["to the living", "to the living again"]);
    await expect(failure(client.recv(1, { timeoutMs: 20 }))).resolves.toMatchObject({ code: "ETIMEDOUT" });
  },
);

/**
 * Has a socket read while its peer refuses a datagram, and returns the first two datagrams that it gets after that.
 *
 * @param read begins to read: datagram by datagram, or in batches.
 */
async function twoAfterRefusal(
  { bound, nobody, socket }: World,
  read: (client: Socket) => AsyncIterable<Datagram | Datagram[]>,
): Promise<string[]> {
  const [client, gone, peer] = [await bound(), await nobody(), socket()];
  await client.connect(gone);
  const refused = new Promise((resolve) => client.once("unreachable", resolve));
  const found: string[] = [];
  const reading = (async () => {
    for await (const item of read(client)) {
      for (const { data } of [item].flat()) found.push(data.toString());
      if (found.length === 2) break;
    }
  })();
  await client.send("anybody?");
  await refused;
  await peer.bind(gone);
  await peer.sendto("1", client.getsockname());
  await peer.sendto("2", client.getsockname());
  await reading;
  return found;
}
