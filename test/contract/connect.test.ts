import {
  AF_INET,
  AF_INET6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_UNICAST_HOPS,
  IP_TTL,
  SOL_SOCKET,
  SO_BROADCAST,
  SO_REUSEADDR,
} from "datagram";
import { expect } from "vitest";

import { freshGroup } from "./groups.js";
import { contract, event, failure, families, numbered, soon, texts, turn } from "./world.js";

for (const [ip, family] of families) {
  // semantics: connect
  contract(
    `connect over ${ip}: send goes to the peer, and getpeername returns it`,
    async ({ bound, socket }) => {
      const [client, server] = [socket(family), await bound(family)];
      await client.connect(server.getsockname());
      expect(client.getpeername().equals(server.getsockname())).toBe(true);
      await expect(client.send("hello")).resolves.toBe(5);
      const [data, source] = await server.recvfrom(64, soon);
      expect(data.toString()).toBe("hello");
      expect(source.equals(client.getsockname())).toBe(true);
      expect(source.host).toBe(server.getsockname().host);
    },
  );

  // semantics: connect-filter
  contract(`other senders' datagrams do not arrive at a connected socket over ${ip}`, async ({ bound }) => {
    const [client, server, other] = [await bound(family), await bound(family), await bound(family)];
    await client.connect(server.getsockname());
    await other.sendto("stray", client.getsockname());
    await server.sendto("answer", client.getsockname());
    expect(await texts(client, 1)).toEqual(["answer"]);
    await expect(failure(client.recvfrom(64, { timeoutMs: 0 }))).resolves.toMatchObject({ code: "EAGAIN" });
  });

  // semantics: dissolve
  contract(
    `connect(null) over ${ip} keeps the address and receives from all hosts again`,
    async ({ bound }) => {
      const [client, server, other] = [await bound(family), await bound(family), await bound(family)];
      const address = `${client.getsockname()}`;
      await client.connect(server.getsockname());
      await client.connect(null);
      expect(`${client.getsockname()}`).toBe(address);
      await server.sendto("one", client.getsockname());
      await other.sendto("other", client.getsockname());
      expect(await texts(client, 2)).toEqual(["one", "other"]);
      await client.sendto("hello", other.getsockname());
      const [, source] = await other.recvfrom(64, soon);
      expect(`${source}`).toBe(address);
    },
  );
}

// semantics: connect-unbound
contract(
  "connect binds an unbound socket to a port, and connect(null) keeps it",
  async ({ bound, localhost, socket }) => {
    const [client, server] = [socket(), await bound()];
    await client.connect(server.getsockname());
    const { host, port } = client.getsockname();
    expect(host).toBe(localhost());
    expect(port).toBeGreaterThan(0);
    await client.connect(null);
    expect(`${client.getsockname()}`).toBe(`0.0.0.0:${port}`);
    await server.sendto("hello", [host, port]);
    expect(await texts(client, 1)).toEqual(["hello"]);
  },
);

// semantics: connect-earlier
contract("datagrams that came before connect are still delivered, whoever sent them", async ({ bound }) => {
  const [client, server, other] = [await bound(), await bound(), await bound()];
  await other.sendto("from other", client.getsockname());
  await server.sendto("from server", client.getsockname());
  await turn(client);
  await client.connect(server.getsockname());
  await other.sendto("stray", client.getsockname());
  await server.sendto("later", client.getsockname());
  expect(await texts(client, 3)).toEqual(["from other", "from server", "later"]);
});

// semantics: dissolve-earlier
contract(
  "datagrams that came before connect(null) and before reconnecting are still delivered",
  async ({ bound }) => {
    const [client, one, other] = [await bound(), await bound(), await bound()];
    await client.connect(one.getsockname());
    await one.sendto("1", client.getsockname());
    await turn(client);
    await client.connect(other.getsockname());
    await other.sendto("2", client.getsockname());
    await turn(client);
    await client.connect(null);
    await one.sendto("3", client.getsockname());
    expect(await texts(client, 3)).toEqual(["1", "2", "3"]);
  },
);

// semantics: reconnect
contract("connect again changes the peer and keeps the port", async ({ bound }) => {
  const [client, one, other] = [await bound(), await bound(), await bound()];
  const { port } = client.getsockname();
  await client.connect(one.getsockname());
  await client.connect(other.getsockname());
  expect(client.getpeername().equals(other.getsockname())).toBe(true);
  expect(client.getsockname().port).toBe(port);
  await client.send("hello");
  const [, source] = await other.recvfrom(64, soon);
  expect(source.port).toBe(port);
  await one.sendto("stray", client.getsockname());
  await other.sendto("answer", client.getsockname());
  expect(await texts(client, 1)).toEqual(["answer"]);
});

// semantics: reconnect
contract("connect to the same peer again changes nothing", async ({ bound }) => {
  const [client, server] = [await bound(), await bound()];
  for (let count = 0; count < 3; count++) await client.connect(server.getsockname());
  await client.send("hello");
  expect((await server.recvmsg(soon)).source.equals(client.getsockname())).toBe(true);
});

// semantics: connected-sendto
contract("sendto to the peer is allowed while connected", async ({ bound }) => {
  const [client, server] = [await bound(), await bound()];
  await client.connect(server.getsockname());
  await client.sendto("hello", server.getsockname());
  expect(await texts(server, 1)).toEqual(["hello"]);
});

// semantics: connected-sendto
contract(
  "sendto to another address is allowed while connected",
  async ({ bound }) => {
    const [client, server, other] = [await bound(), await bound(), await bound()];
    await client.connect(server.getsockname());
    await expect(client.sendto("aside", other.getsockname())).resolves.toBe(5);
    await client.send("hello");
    expect(await texts(other, 1)).toEqual(["aside"]);
    expect(await texts(server, 1)).toEqual(["hello"]);
  },
  "sendtoWhileConnected",
);

// semantics: connected-sendto
contract(
  "without the feature, sendto to another address while connected is ENOTSUP, and the error names a driver that can",
  async ({ bound }) => {
    const [client, server, other] = [await bound(), await bound(), await bound()];
    await client.connect(server.getsockname());
    const { host, port } = other.getsockname();
    const error = await failure(client.sendto("aside", [host, port]));
    expect(error).toMatchObject({ code: "ENOTSUP", syscall: "sendto", address: host, port });
    expect(error.message).toContain("native");
    await client.send("hello");
    expect(await texts(server, 1)).toEqual(["hello"]);
  },
  "no sendtoWhileConnected",
);

// semantics: not-connected
contract("send unconnected is EDESTADDRREQ, getpeername unconnected is ENOTCONN", async ({ bound }) => {
  const [client, server] = [await bound(), await bound()];
  const unconnected = async (): Promise<void> => {
    await expect(failure(client.send("x"))).resolves.toMatchObject({ code: "EDESTADDRREQ", syscall: "send" });
    await expect(failure(client.sendMany(["x"]))).resolves.toMatchObject({ code: "EDESTADDRREQ" });
    const error = { name: "OSError", code: "ENOTCONN", syscall: "getpeername" };
    expect(() => client.getpeername()).toThrow(expect.objectContaining(error));
  };
  await unconnected();
  await client.connect(server.getsockname());
  await client.connect(null);
  await unconnected();
});

// semantics: dissolve-unconnected
contract("connect(null) of a socket that is not connected does nothing", async ({ bound, socket }) => {
  const [client, server, fresh] = [await bound(), await bound(), socket()];
  const address = client.getsockname();
  await client.connect(null);
  await fresh.connect(null);
  expect(client.getsockname().equals(address)).toBe(true);
  await fresh.sendto("hello", server.getsockname());
  expect(await texts(server, 1)).toEqual(["hello"]);
});

// semantics: connect-failed
contract("a connect that fails leaves the peer as it was", async ({ bound, broadcast }) => {
  const [client, server] = [await bound(), await bound()];
  await client.connect(server.getsockname());
  await expect(failure(client.connect([broadcast, 9000]))).resolves.toMatchObject({ code: "EACCES" });
  expect(client.getpeername().equals(server.getsockname())).toBe(true);
  await client.send("hello");
  expect(await texts(server, 1)).toEqual(["hello"]);
});

// semantics: connect
contract("two sockets that are connected to each other talk with send and recv alone", async ({ bound }) => {
  const [one, other] = [await bound(), await bound()];
  await Promise.all([one.connect(other.getsockname()), other.connect(one.getsockname())]);
  await one.send("ping");
  expect((await other.recv(64, soon)).toString()).toBe("ping");
  await other.send("pong");
  expect((await one.recv(64, soon)).toString()).toBe("pong");
  expect(one.family).toBe(AF_INET);
});

// semantics: connect-waiting
contract("a waiting receive call goes on waiting while the peer changes", async ({ bound, socket }) => {
  const [one, other, client] = [await bound(), await bound(), socket()];
  await client.connect(one.getsockname());
  const waiting = client.recv(64, soon);
  await client.connect(other.getsockname());
  await other.sendto("from the other", client.getsockname());
  expect((await waiting).toString()).toBe("from the other");
});

// semantics: dissolve
contract("options stay set after connect(null)", async ({ bound, socket }) => {
  const [server, client] = [await bound(), socket()];
  client.setsockopt(IPPROTO_IP, IP_TTL, 33);
  client.setsockopt(SOL_SOCKET, SO_BROADCAST, true);
  await client.connect(server.getsockname());
  await client.connect(null);
  expect(client.getsockopt(IPPROTO_IP, IP_TTL)).toBe(33);
  expect(client.getsockopt(SOL_SOCKET, SO_BROADCAST)).toBe(1);
});

// semantics: connect-any
contract(
  "getpeername returns the address that the kernel chose for 0.0.0.0",
  async ({ bound, localhost, socket }) => {
    const [server, client] = [await bound(), socket()];
    await client.connect(["", server.getsockname().port]);
    expect(client.getpeername().host).toBe(localhost());
  },
);

// semantics: dissolve-unconnected
contract("connect(null) of an unbound socket does not bind it", async ({ localhost, socket }) => {
  const s = socket();
  await s.connect(null);
  expect(s.getsockname().port).toBe(0);
  await s.bind([localhost(), 0]);
});

for (const [given, family, told] of [
  ["0.0.0.0", AF_INET, "127.0.0.1"],
  ["", AF_INET, "127.0.0.1"],
  ["::", AF_INET6, "::1"],
  ["::1%lo", AF_INET6, "::1"],
  ["::ffff:0.0.0.0", AF_INET6, "::ffff:127.0.0.1"],
] as const) {
  // semantics: connect-any
  contract(`after connect to "${given}", the peer is the address that the kernel reports`, async (world) => {
    const [{ port }, s] = [await world.nobody(), world.socket(family)];
    await s.connect([given, port]);
    const peer = s.getpeername();
    expect(peer).toMatchObject({ host: told, port });
    await s.send("anybody?");
    const refused = await failure(s.recvfrom(64, soon));
    expect(refused).toMatchObject({ code: "ECONNREFUSED", address: told, port });
    for (const to of [peer, [given, port] as const]) {
      await s.sendto("again", to);
      await turn(s);
      expect(await failure(s.sendto("and again", to))).toMatchObject({ code: "ECONNREFUSED" });
    }
  });
}

// semantics: connect-any
contract(
  "an ICMP error about a peer that was given as every interface is in the error and in the event",
  async ({ nobody, socket }) => {
    const [{ port }, s] = [await nobody(), socket()];
    await s.connect(["0.0.0.0", port]);
    const heard = event(s, "unreachable");
    await s.send("anybody?");
    expect((await heard).destination?.equals(s.getpeername())).toBe(true);
    const refused = await failure(s.recvfrom(64, soon));
    expect(refused.message).toContain("127.0.0.1");
  },
  "icmpErrors",
);

// semantics: connect-waiting
contract("a waiting receive call of an IPv6 socket goes on waiting after connect(null)", async (world) => {
  const [peer, other, s] = [await world.bound(AF_INET6), await world.bound(AF_INET6), world.socket(AF_INET6)];
  await s.connect(peer.getsockname());
  const waiting = s.recv(64, soon);
  await turn(s);
  await s.connect(null);
  await other.sendto("to who waits", [world.localhost(AF_INET6), s.getsockname().port]);
  expect((await waiting).toString()).toBe("to who waits");
});

// semantics: dissolve
contract(
  "after connect(null) an IPv6 socket can be connected and dissolved again, and keeps its options",
  async (world) => {
    const [one, other, s] = [
      await world.bound(AF_INET6),
      await world.bound(AF_INET6),
      world.socket(AF_INET6),
    ];
    s.setsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33);
    await s.connect(one.getsockname());
    const address = [world.localhost(AF_INET6), s.getsockname().port] as const;
    for (let round = 0; round < 3; round++) {
      await s.connect(null);
      await one.sendto("one", address);
      await other.sendto("other", address);
      expect(await texts(s, 2)).toEqual(["one", "other"]);
      expect(s.getsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS)).toBe(33);
      expect(s.getsockopt(SOL_SOCKET, SO_REUSEADDR)).toBe(0);
      await s.connect(other.getsockname());
      await s.send("hello");
      expect(await texts(other, 1)).toEqual(["hello"]);
    }
  },
);

// semantics: close-counted
contract(
  "datagrams that came before connect(null) and were never read are counted at close",
  async ({ bound }) => {
    const [s, peer] = [await bound(AF_INET6), await bound(AF_INET6)];
    await s.connect(peer.getsockname());
    await peer.sendMany(numbered(10), s.getsockname());
    await turn(s);
    await s.connect(null);
    expect(await texts(s, 1)).toEqual(["0"]);
    await s.close();
    expect(s.stats().droppedQueue).toBe(9);
  },
);

// semantics: dissolve-drops
contract(
  "drops of the kernel before connect(null) stay counted, and later drops are added",
  async ({ bound }) => {
    const [s, peer] = [await bound(AF_INET6, { receiveBuffer: 65_536 }), await bound(AF_INET6)];
    const flood = async (): Promise<number> => {
      for (let count = 0; count < 100; count++) await peer.sendto(Buffer.alloc(10_000), s.getsockname());
      return s.stats().droppedKernel ?? 0;
    };
    await s.connect(peer.getsockname());
    const first = await flood();
    expect(first).toBeGreaterThan(0);
    await s.connect(null);
    expect(s.stats().droppedKernel).toBe(first);
    expect(await flood()).toBeGreaterThan(first);
    const received = (): number => s.stats().received.datagrams;
    while (received() + (s.stats().droppedKernel ?? 0) < 200) await s.recvMany(100, soon);
    expect(received() + (s.stats().droppedKernel ?? 0)).toBe(200);
  },
  "kernelDropCount",
);

// semantics: dissolve-warning
contract(
  "an IPv6 socket that still receives only from its former peer after connect(null) warns, and says why",
  async ({ bound, localhost }) => {
    const [s, peer] = [await bound(AF_INET6), await bound(AF_INET6)];
    // The package cannot repeat the join of a group that was joined with the number of its option.
    const request = Buffer.alloc(20);
    const [, high = "", low = ""] = /::(.+):(.+)/.exec(freshGroup(s)) ?? [];
    request.writeUInt16BE(0xff01, 0);
    request.writeUInt16BE(parseInt(high, 16), 12);
    request.writeUInt16BE(parseInt(low, 16), 14);
    new Uint32Array(request.buffer, request.byteOffset + 16, 1)[0] = 1;
    s.setsockopt(IPPROTO_IPV6, 20, request);
    await s.connect(peer.getsockname());
    const warned = event(s, "warning");
    await s.connect(null);
    const { code, message } = await warned;
    expect(code).toBe("DISSOLVED_HEARS_FORMER_PEER");
    expect(message).toMatch(`receives only from ${localhost(AF_INET6)}`);
    expect(message).toMatch("option 20 at level 41");
    await peer.sendto("still", [localhost(AF_INET6), s.getsockname().port]);
    expect(await texts(s, 1)).toEqual(["still"]);
  },
  "kernelOptions",
);

// semantics: connect-scope
contract(
  "connect to a link-local address or group without a scope is EINVAL, and the error says what is missing",
  async (world) => {
    for (const host of ["fe80::1", "ff02::1"]) {
      const refused = await failure(world.socket(AF_INET6).connect([host, 9]));
      expect(refused).toMatchObject({ code: "EINVAL", syscall: "connect", address: host, port: 9 });
      expect(refused.message).toContain(`needs a scope, the interface to send through: ${host}%eth0`);
    }
  },
);
