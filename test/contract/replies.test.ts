import {
  AF_INET,
  AF_INET6,
  type Address,
  type Datagram,
  type Family,
  SOL_SOCKET,
  SO_BROADCAST,
  type Socket,
} from "datagram";
import { expect } from "vitest";

import { freshGroup, meet } from "./groups.js";
import { type World, contract, mapped, numbered, soon, texts } from "./world.js";

/** A server on every interface, and how its clients write an IPv4 address of its host. */
interface Route {
  readonly over: string;
  readonly server: Family;
  readonly client: Family;
  readonly name: (host: string) => string;
}

const routes: readonly Route[] = [
  { over: "IPv4", server: AF_INET, client: AF_INET, name: (host) => host },
  { over: "an IPv6 socket, to an IPv4 client", server: AF_INET6, client: AF_INET, name: (host) => host },
  { over: "IPv6 sockets and IPv4", server: AF_INET6, client: AF_INET6, name: mapped },
];

async function serverOn({ socket }: World, family: Family): Promise<Socket> {
  const server = socket(family);
  await server.bind(["", 0]);
  return server;
}

async function sourceOfNext(client: Socket): Promise<Address> {
  return (await client.recvfrom(64, soon))[1];
}

for (const { over, server: family, client: clientFamily, name } of routes) {
  // semantics: reply-address
  contract(
    `reply over ${over} leaves from the address that the request came to`,
    async (world) => {
      const [server, client] = [await serverOn(world, family), world.socket(clientFamily)];
      const { port } = server.getsockname();
      for (const host of [...world.moreHosts, world.localhost()].map(name)) {
        await client.sendto("question", [host, port]);
        await expect((await server.recvmsg(soon)).reply("answer")).resolves.toBe(6);
        expect(await sourceOfNext(client)).toMatchObject({ host, port });
      }
    },
    "packetInfo",
  );

  // semantics: reply-address
  contract(
    `a client over ${over} that is connected to one address of a host receives its replies`,
    async (world) => {
      const [server, client] = [await serverOn(world, family), world.socket(clientFamily)];
      await client.connect([name(world.moreHosts[1]), server.getsockname().port]);
      await client.send("question");
      await (await server.recvmsg(soon)).reply("answer");
      expect(await texts(client, 1)).toEqual(["answer"]);
    },
    "packetInfo",
  );
}

for (const way of ["recvMany", "for await"] as const) {
  // semantics: reply-address
  contract(
    `replies to datagrams from ${way} that came to several addresses each leave from the right address`,
    async (world) => {
      const [server, client] = [await serverOn(world, AF_INET), await world.bound()];
      const { port } = server.getsockname();
      const hosts = [world.localhost(), ...world.moreHosts];
      const questions = numbered(60).map((data, index) => ({
        data,
        address: [hosts[Math.floor(index / 5) % 3]!, port] as const,
      }));
      await client.sendMany(questions);
      server.settimeout(5);
      const answered: Promise<number>[] = [];
      const answer = (datagram: Datagram): number => answered.push(datagram.reply(datagram.data));
      if (way === "recvMany") {
        while (answered.length < 60) for (const each of await server.recvMany(60)) answer(each);
      } else {
        for await (const each of server) if (answer(each) === 60) break;
      }
      await Promise.all(answered);
      for (let count = 0; count < 60; count++) {
        const [data, source] = await client.recvfrom(64, soon);
        const question = questions[Number(data.toString())]!;
        expect(`${source}`).toBe(question.address.join(":"));
      }
    },
    "packetInfo",
  );
}

// semantics: reply-group
contract("a reply to a datagram to a multicast group leaves from an address of this host", async (world) => {
  const { receiver, sender, group, port } = await meet(world);
  receiver.addMembership(group, world.loopback);
  await sender.sendto("who is there?", [group, port]);
  await expect((await receiver.recvmsg(soon)).reply("me")).resolves.toBe(2);
  expect(await sourceOfNext(sender)).toMatchObject({ host: world.localhost(), port });
});

// semantics: reply-group
contract(
  "a reply to a datagram to an IPv6 multicast group leaves from an address of this host",
  async (world) => {
    const [receiver, sender] = [await serverOn(world, AF_INET6), world.socket(AF_INET6)];
    const [group, port] = [freshGroup(receiver), receiver.getsockname().port];
    receiver.addMembership(group);
    await world.needsRoute(sender.sendto("who is there?", [group, port]));
    await expect((await receiver.recvmsg(soon)).reply("me")).resolves.toBe(2);
    const source = await sourceOfNext(sender);
    expect(source.host).not.toMatch(/^ff/);
    expect(source.port).toBe(port);
  },
);

// semantics: reply-group
contract("a reply to a broadcast leaves from an address of this host", async (world) => {
  const [server, client] = [await serverOn(world, AF_INET), await world.bound()];
  const { port } = server.getsockname();
  client.setsockopt(SOL_SOCKET, SO_BROADCAST, true);
  await client.sendto("who is there?", [world.broadcast, port]);
  await expect((await server.recvmsg(soon)).reply("me")).resolves.toBe(2);
  expect(await sourceOfNext(client)).toMatchObject({ host: world.localhost(), port });
});

// semantics: reply-connected
contract("a connected socket replies to its peer", async ({ bound }) => {
  const [one, other] = [await bound(), await bound()];
  await one.connect(other.getsockname());
  await other.sendto("question", one.getsockname());
  await (await one.recvmsg(soon)).reply("answer");
  expect(await texts(other, 1)).toEqual(["answer"]);
});

// semantics: reply-connected
contract(
  "a datagram that came before connect can be answered after it, from the address that it came to",
  async (world) => {
    const [server, client] = [await serverOn(world, AF_INET), await world.bound()];
    const { port } = server.getsockname();
    await client.sendto("question", [world.moreHosts[0], port]);
    const datagram = await server.recvmsg(soon);
    await server.connect(client.getsockname());
    await datagram.reply("answer");
    expect(await sourceOfNext(client)).toMatchObject({ host: world.moreHosts[0], port });
  },
  "packetInfo",
);

// semantics: closed
contract("a reply after close() is EBADF, as a send is", async ({ bound }) => {
  const [server, client] = [await bound(), await bound()];
  await client.sendto("question", server.getsockname());
  const datagram = await server.recvmsg(soon);
  await server.close();
  await expect(datagram.reply("answer")).rejects.toMatchObject({ code: "EBADF", syscall: "reply" });
});

// semantics: reply-address
contract(
  "without the feature, the system chooses the address that a reply leaves from",
  async (world) => {
    const [server, client] = [await serverOn(world, AF_INET), await world.bound()];
    const { port } = server.getsockname();
    await client.sendto("question", [world.moreHosts[0], port]);
    await expect((await server.recvmsg(soon)).reply("answer")).resolves.toBe(6);
    expect(await sourceOfNext(client)).toMatchObject({ host: world.localhost(), port });
  },
  "no packetInfo",
);
