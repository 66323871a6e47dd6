import {
  AF_INET,
  AF_INET6,
  type Address,
  type Datagram,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_TCLASS,
  IP_TOS,
  IP_TTL,
  type OutgoingDatagram,
  type Socket,
} from "datagram";
import { expect } from "vitest";

import { type World, contract, failure, families, mapped, soon, texts } from "./world.js";

async function received(from: Socket, count: number): Promise<Datagram[]> {
  const found: Datagram[] = [];
  while (found.length < count) found.push(...(await from.recvMany(count - found.length, soon)));
  return found;
}

/** Sends one datagram and returns the received one. */
async function pass(
  sender: Socket,
  receiver: Socket,
  how: Omit<OutgoingDatagram, "data">,
): Promise<Datagram> {
  await expect(sender.sendmsg({ data: "hello", address: receiver.getsockname(), ...how })).resolves.toBe(5);
  return receiver.recvmsg(soon);
}

// semantics: sendmsg
contract("sendmsg with only data and address is sendto", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const plain = await pass(sender, receiver, {});
  expect(plain.source.equals(sender.getsockname())).toBe(true);
  const fields = ["source", "interface", "ttl", "tos", "ecn", "probe"];
  const unset = Object.fromEntries(fields.map((field) => [field, undefined]));
  expect((await pass(sender, receiver, unset)).data.toString()).toBe("hello");
});

// semantics: sendmsg
contract("sendmsg without an address is send", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const error = await failure(sender.sendmsg({ data: "hello" }));
  expect(error).toMatchObject({ code: "EDESTADDRREQ", syscall: "sendmsg" });
  expect(error.message).toContain("or give sendmsg an address");
  await sender.connect(receiver.getsockname());
  await expect(sender.sendmsg({ data: "hello" })).resolves.toBe(5);
  expect(await texts(receiver, 1)).toEqual(["hello"]);
});

// semantics: sendmsg-bad-fields
contract("sendmsg refuses a value that is not a message with a TypeError", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const wrong = { name: "TypeError", code: "ERR_INVALID_ARG_TYPE" };
  for (const message of [undefined, null, "hello", 5, () => 0, { address: receiver.getsockname() }])
    await expect(sender.sendmsg(message as never)).rejects.toMatchObject(wrong);
});

// semantics: data-copied
contract("sendmsg copies its data at the call", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const data = Buffer.from("before");
  const sending = sender.sendmsg({ data, address: receiver.getsockname() });
  data.fill("x");
  await sending;
  expect(await texts(receiver, 1)).toEqual(["before"]);
});

// semantics: order
contract(
  "sendmsg and sendto to one destination arrive in the order of the calls",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const address = receiver.getsockname();
    const sends = Array.from({ length: 40 }, (_, index) =>
      index % 2 === 0
        ? sender.sendto(String(index), address)
        : sender.sendmsg({ data: String(index), address, ttl: 1 + index }),
    );
    await Promise.all(sends);
    const found = await received(receiver, 40);
    expect(found.map(({ data }) => Number(data.toString()))).toEqual(sends.map((_, index) => index));
    expect(found.map(({ ttl }) => ttl)).toEqual(
      sends.map((_, index) => (index % 2 === 0 ? found[0]!.ttl : 1 + index)),
    );
  },
  "packetInfo",
);

// semantics: sendmsg-fields
contract(
  "sendmsg applies TTL, TOS and interface to this datagram, and not to the next",
  async ({ bound, loopback }) => {
    for (const [, family] of families) {
      const [sender, receiver] = [await bound(family), await bound(family)];
      const { ttl, tos } = await pass(sender, receiver, {});
      expect(await pass(sender, receiver, { ttl: 7 })).toMatchObject({ ttl: 7, tos });
      expect(await pass(sender, receiver, { tos: 0x28 })).toMatchObject({ ttl, tos: 0x28 });
      const all = await pass(sender, receiver, { ttl: 255, tos: 0xff, interface: loopback });
      expect(all).toMatchObject({ ttl: 255, tos: 0xff, interface: loopback });
      expect(await pass(sender, receiver, {})).toMatchObject({ ttl, tos });
    }
  },
  "packetInfo",
);

for (const [ip, family] of families) {
  // semantics: sendmsg-ecn
  contract(
    `sendmsg with only ecn over ${ip} keeps the DSCP of the socket`,
    async ({ bound }) => {
      const [sender, receiver] = [await bound(family), await bound(family)];
      expect(await pass(sender, receiver, { ecn: 2 })).toMatchObject({ tos: 2, ecn: 2 });
      const [level, option] = family === AF_INET ? [IPPROTO_IP, IP_TOS] : [IPPROTO_IPV6, IPV6_TCLASS];
      sender.setsockopt(level, option, 0xb9);
      expect(await pass(sender, receiver, { ecn: 3 })).toMatchObject({ tos: 0xbb, ecn: 3 });
      expect(await pass(sender, receiver, { ecn: 0 })).toMatchObject({ tos: 0xb8, ecn: 0 });
      expect(await pass(sender, receiver, { tos: 0x28, ecn: 1 })).toMatchObject({ tos: 0x29, ecn: 1 });
      expect(await pass(sender, receiver, {})).toMatchObject({ tos: 0xb9 });
    },
    "packetInfo",
  );
}

// semantics: sendmsg-ecn
contract(
  "sendmsg with only ecn to an IPv4 peer of an IPv6 socket keeps the DSCP of its other datagrams to IPv4",
  async ({ bound, socket }) => {
    const [sender, receiver] = [socket(AF_INET6), await bound()];
    const { host, port } = receiver.getsockname();
    const address = [mapped(host), port] as const;
    sender.setsockopt(IPPROTO_IPV6, IPV6_TCLASS, 0xb8);
    const { tos = NaN } = await pass(sender, receiver, { address });
    expect((await pass(sender, receiver, { address, ecn: 1 })).tos).toBe((tos & 0xfc) | 1);
  },
  "packetInfo",
);

// semantics: closed
contract("sendmsg after close() is EBADF, with any fields", async ({ bound, nobody }) => {
  const [sender, address] = [await bound(), await nobody()];
  await sender.close();
  for (const how of [{}, { ttl: 5 }, { ecn: 1 }]) {
    const error = await failure(sender.sendmsg({ data: "late", address, ...how }));
    expect(error, JSON.stringify(how)).toMatchObject({ code: "EBADF", syscall: "sendmsg" });
  }
});

// semantics: sendmsg-fields
contract(
  "sendmsg sends from the source that it names, with the port of the socket",
  async ({ bound, localhost, moreHosts, socket }) => {
    const [sender, receiver] = [socket(), await bound()];
    for (const source of [...moreHosts, localhost()]) {
      const datagram = await pass(sender, receiver, { source });
      expect(datagram.source).toMatchObject({ host: source, port: sender.getsockname().port });
    }
    // The socket's own address does not limit the source of its datagrams.
    const bounded = await bound();
    expect((await pass(bounded, receiver, { source: moreHosts[0] })).source).toMatchObject({
      host: moreHosts[0],
      port: bounded.getsockname().port,
    });
  },
  "packetInfo",
);

// semantics: sendmsg-fields
contract(
  "sendmsg over IPv6 sends from the source that it names",
  async ({ bound, localhost, socket }) => {
    const [sender, receiver] = [socket(AF_INET6), await bound(AF_INET6)];
    const datagram = await pass(sender, receiver, { source: localhost(AF_INET6), ttl: 9 });
    expect(datagram.source.host).toBe(localhost(AF_INET6));
    expect(datagram.ttl).toBe(9);
  },
  "packetInfo",
);

// semantics: sendmsg-fields
contract(
  "sendmsg from an IPv6 socket to an IPv4 peer has its source, TTL, TOS and interface",
  async ({ bound, loopback, moreHosts, socket }) => {
    const [sender, receiver] = [socket(AF_INET6), await bound()];
    const { host, port } = receiver.getsockname();
    const address = [mapped(host), port] as const;
    const how = { ttl: 9, tos: 0x29, interface: loopback };
    const datagram = await pass(sender, receiver, { address, source: mapped(moreHosts[1]), ...how });
    expect(datagram).toMatchObject(how);
    expect(datagram.source.host).toBe(moreHosts[1]);
    expect(await pass(sender, receiver, { address, ecn: 1 })).toMatchObject({ tos: 1, ecn: 1 });
  },
  "packetInfo",
);

// semantics: sendmsg-fields
contract(
  "sendmsg to the connected peer has its source and TTL too",
  async ({ bound, moreHosts, socket }) => {
    const [sender, receiver] = [socket(), await bound()];
    await sender.connect(receiver.getsockname());
    await expect(sender.sendmsg({ data: "hello", source: moreHosts[0], ttl: 5 })).resolves.toBe(5);
    const datagram = await receiver.recvmsg(soon);
    expect([datagram.source.host, datagram.ttl]).toEqual([moreHosts[0], 5]);
    await sender.send("plain");
    expect((await receiver.recvmsg(soon)).source.equals(sender.getsockname())).toBe(true);
  },
  "packetInfo",
);

// semantics: sendmsg-fields
contract(
  "sendmsg to a name has its TTL after the name is resolved",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const address = ["localhost", receiver.getsockname().port] as const;
    expect(await pass(sender, receiver, { address, ttl: 5 })).toMatchObject({ ttl: 5 });
  },
  "packetInfo",
);

/** Every third is plain. The others differ from their neighbours in one field or in several. */
function mixed(
  count: number,
  address: Address,
  sources: readonly string[],
): (OutgoingDatagram & { data: string })[] {
  return Array.from({ length: count }, (_, index) => ({
    data: String(index).padStart(8),
    address,
    ...(index % 3 === 1 ? { ttl: 1 + (Math.floor(index / 6) % 4) } : {}),
    ...(index % 3 === 2 ? { tos: 4 * (Math.floor(index / 12) % 3) } : {}),
    ...(index % 5 === 2 ? { source: sources[index % 2]! } : {}),
  }));
}

// semantics: sendmsg-mixed
contract(
  "datagrams of one sendMany leave in order, each with its own fields or with none",
  async ({ bound, localhost, moreHosts, socket }) => {
    const sender = socket();
    sender.setsockopt(IPPROTO_IP, IP_TTL, 77);
    sender.setsockopt(IPPROTO_IP, IP_TOS, 0x40);
    const receivers = [await bound(), await bound()];
    const letters = receivers.map((receiver) => mixed(300, receiver.getsockname(), moreHosts));
    // First all of one kind, then of both kinds in turn.
    for (const items of [letters.flat(), letters[0]!.flatMap((each, index) => [each, letters[1]![index]!])]) {
      await expect(sender.sendMany(items)).resolves.toBe(600);
      for (const [index, receiver] of receivers.entries()) {
        const found = await received(receiver, 300);
        expect(
          found.map(({ data, ttl, tos, source }) => ({ data: String(data), ttl, tos, from: source.host })),
        ).toEqual(
          letters[index]!.map(({ data, ttl = 77, tos = 0x40, source }) => {
            return { data, ttl, tos, from: source ?? localhost() };
          }),
        );
      }
    }
  },
  "packetInfo",
);

// semantics: sendmsg-mixed
contract(
  "equal datagrams with equal fields still take a few system calls",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const address = receiver.getsockname();
    const items = Array.from({ length: 600 }, (_, index) => ({
      data: String(index).padStart(8),
      address,
      ttl: index < 300 ? 5 : 6,
    }));
    const before = sender.stats().systemCalls?.send ?? 0;
    await sender.sendMany(items);
    expect((sender.stats().systemCalls?.send ?? Infinity) - before).toBeLessThanOrEqual(2);
    const found = await received(receiver, 600);
    expect(found.map(({ ttl }) => ttl)).toEqual(items.map(({ ttl }) => ttl));
    expect(found.map(({ data }) => data.toString())).toEqual(items.map(({ data }) => data));
  },
  "batching",
);

/** Fields that no datagram can have, and the error of each. */
const bad: readonly (readonly [fields: object, error: object])[] = [
  ...[null, 5, {}, ["127.0.0.1"]].map((source) => [{ source }, { name: "TypeError" }] as const),
  ...["", "localhost", "127.0.0.1:80"].map((source) => [{ source }, { name: "RangeError" }] as const),
  [
    { source: "::1" },
    {
      name: "OSError",
      code: "EAFNOSUPPORT",
      message: expect.stringMatching(/^send(msg|Many): source ::1: this is an IPv6 address/) as string,
    },
  ],
  ...[0, 256, -1, 1.5, NaN].map((ttl) => [{ ttl }, { name: "RangeError" }] as const),
  ...[256, -1, 1.5].map((tos) => [{ tos }, { name: "RangeError" }] as const),
  ...[4, -1].map((ecn) => [{ ecn }, { name: "RangeError" }] as const),
  ...["ttl", "tos", "ecn"].map((field) => [{ [field]: "1" }, { name: "TypeError" }] as const),
  ...["ttl", "tos", "ecn"].map((field) => [{ [field]: null }, { name: "TypeError" }] as const),
  ...[1, "yes", null].map((probe) => [{ probe }, { name: "TypeError" }] as const),
  [{ interface: {} }, { name: "TypeError" }],
  [{ interface: "" }, { name: "RangeError" }],
];

// semantics: sendmsg-bad-fields
contract("bad fields of a datagram are refused before anything is sent", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const address = receiver.getsockname();
  for (const [fields, error] of bad) {
    const name = JSON.stringify(fields);
    const letter = { data: "bad", address, ...fields } as OutgoingDatagram;
    await expect(sender.sendmsg(letter), name).rejects.toMatchObject(error);
    const items = [{ data: "good", address }, letter, { data: "good", address }];
    await expect(sender.sendMany(items), name).rejects.toMatchObject({ ...error, index: 1, sent: 0 });
  }
  await sender.sendto("marker", address);
  expect(await texts(receiver, 1)).toEqual(["marker"]);
  expect(sender.stats().sent.datagrams).toBe(1);
});

// semantics: sendmsg-refused
contract(
  "a source that this host does not have is refused, and the other datagrams are sent",
  async ({ bound, elsewhere }) => {
    for (const [, family] of families) {
      const [sender, receiver] = [await bound(family), await bound(family)];
      const address = receiver.getsockname();
      const stranger = { data: "refused", address, source: elsewhere(family) };
      const error = await failure(sender.sendmsg(stranger));
      // Linux says ENETUNREACH of IPv4, and of IPv6 EINVAL (ip_route_output_key, net/ipv4/route.c; ip6_datagram_send_ctl).
      expect(error).toMatchObject({ syscall: "sendmsg", port: address.port });
      expect(["EINVAL", "ENETUNREACH"]).toContain(error.code);
      expect(error.message).toContain(elsewhere(family));
      const items = [{ data: "1", address }, { data: "2", address }, stranger, { data: "3", address }];
      const many = await failure(sender.sendMany(items));
      expect(many).toMatchObject({ code: error.code, index: 2, sent: 3 });
      expect(await texts(receiver, 3)).toEqual(["1", "2", "3"]);
      expect(sender.stats()).toMatchObject({ sendErrors: { [error.code]: 2 }, sent: { datagrams: 3 } });
    }
  },
  "packetInfo",
);

// semantics: sendmsg-refused
contract(
  "an interface that this host does not have is ENODEV, and the other datagrams are sent",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const address = receiver.getsockname();
    const astray = { data: "refused", address, interface: "nosuch0" };
    await expect(failure(sender.sendmsg(astray))).resolves.toMatchObject({ code: "ENODEV" });
    const many = await failure(sender.sendMany([{ data: "1", address }, astray, { data: "2", address }]));
    expect(many).toMatchObject({ code: "ENODEV", index: 1, sent: 2 });
    expect(await texts(receiver, 2)).toEqual(["1", "2"]);
  },
  "packetInfo",
);

/** Messages with one field each that a driver may lack. */
const single: readonly Omit<OutgoingDatagram, "data">[] = [
  { source: "127.0.0.1" },
  { interface: "lo" },
  { ttl: 5 },
  { tos: 4 },
  { ecn: 1 },
  { probe: true },
];

// semantics: sendmsg-dgram
contract(
  "without the feature, only the datagram with such a field is ENOTSUP, and the error names a driver that can",
  async (world: World) => {
    const [sender, receiver] = [await world.bound(), await world.bound()];
    const address = receiver.getsockname();
    for (const how of single) {
      const letter = { data: "refused", address, ...how };
      const error = await failure(sender.sendmsg(letter));
      expect(error, JSON.stringify(how)).toMatchObject({ code: "ENOTSUP" });
      expect(error.message).toContain("native");
      const many = await failure(sender.sendMany([{ data: "1", address }, letter, { data: "2", address }]));
      expect(many, JSON.stringify(how)).toMatchObject({ code: "ENOTSUP", index: 1, sent: 2 });
      expect(await texts(receiver, 2)).toEqual(["1", "2"]);
    }
  },
  "no packetInfo",
);
