import { AF_INET, AF_INET6, Address, type AddressLike, type Socket } from "datagram";
import { probePathMtu } from "datagram/message";
import { expect } from "vitest";

import { contract, failure, families, soon, texts } from "./world.js";

/** Every call that takes an address. */
const calls: readonly (readonly [
  name: string,
  call: (s: Socket, address: AddressLike) => Promise<unknown>,
])[] = [
  ["bind", (s, address) => s.bind(address)],
  ["connect", (s, address) => s.connect(address)],
  ["sendto", (s, address) => s.sendto("x", address)],
  ["sendMany", (s, address) => s.sendMany(["x"], address)],
  ["sendMany of records", (s, address) => s.sendMany([{ data: "x", address }])],
];

for (const [ip, family] of families) {
  // semantics: address-forms
  contract(`calls accept an Address, a pair and { address, port } over ${ip}`, async ({ bound }) => {
    const [sender, receiver] = [await bound(family), await bound(family)];
    const { host, port } = receiver.getsockname();
    await sender.sendto("Address", new Address(host, port));
    await sender.sendto("pair", [host, port]);
    await sender.sendto("record", { address: host, port });
    await sender.sendMany(["parsed"], Address.parse(`${receiver.getsockname()}`));
    await sender.connect({ address: host, port });
    expect(await texts(receiver, 4)).toEqual(["Address", "pair", "record", "parsed"]);
    expect(sender.getpeername().equals(receiver.getsockname())).toBe(true);
  });

  // semantics: address-json
  contract(`every call over ${ip} accepts an address that was JSON`, async ({ bound, socket }) => {
    const [sender, receiver] = [await bound(family), await bound(family)];
    const fromJson = (address: Address): { host: string; port: number } =>
      JSON.parse(JSON.stringify(address)) as { host: string; port: number };
    const to = fromJson(receiver.getsockname());
    expect(Object.keys(to)).toEqual(["host", "port"]);
    await sender.sendto("sendto", to);
    await sender.sendmsg({ data: "sendmsg", address: to });
    await sender.sendMany(["sendMany"], to);
    await sender.sendMany([{ data: "item", address: to }]);
    expect(await texts(receiver, 4)).toEqual(["sendto", "sendmsg", "sendMany", "item"]);
    expect(sender.pathMtu(to)).toBe(sender.pathMtu(receiver.getsockname()));
    expect(sender.maxPayload(to)).toBe(sender.maxPayload(receiver.getsockname()));
    await sender.connect(to);
    expect(sender.getpeername()).toEqual(receiver.getsockname());
    await receiver.close();
    const again = socket(family);
    await again.bind(to);
    expect(again.getsockname().equals(Address.from(to))).toBe(true);
  });

  // semantics: address-out
  contract(`a returned address over ${ip} is a frozen Address`, async ({ bound }) => {
    const [sender, receiver] = [await bound(family), await bound(family)];
    await sender.sendto("hello", receiver.getsockname());
    const [, source] = await receiver.recvfrom(64, soon);
    await sender.connect(receiver.getsockname());
    for (const address of [source, receiver.getsockname(), sender.getpeername()]) {
      expect(address).toBeInstanceOf(Address);
      expect(Object.isFrozen(address)).toBe(true);
      expect(address.family).toBe(family);
      expect([...address]).toEqual([address.host, address.port]);
    }
    const { host, port } = sender.getsockname();
    expect([source.host, source.port]).toEqual([host, port]);
    expect(String(source)).toBe(family === AF_INET ? `${host}:${port}` : `[${host}]:${port}`);
  });
}

// semantics: address-json
contract(
  "probePathMtu accepts an address that was JSON",
  async ({ bound }) => {
    const [s, peer] = [await bound(), await bound()];
    const answering = (async () => {
      for await (const datagram of peer) await datagram.reply(datagram.data);
    })();
    const { host, port } = peer.getsockname();
    expect((await probePathMtu(s, { host, port })).maxPayload).toBeGreaterThan(0);
    await peer.close();
    await answering;
  },
  "pathMtu",
);

// semantics: address-out
contract("IPv6 addresses may be written in any form, and are returned in one form", async ({ bound }) => {
  const [sender, receiver] = [await bound(AF_INET6), await bound(AF_INET6)];
  await sender.sendto("hello", ["0:0:0:0:0:0:0:1", receiver.getsockname().port]);
  const [, source] = await receiver.recvfrom(64, soon);
  expect(source.host).toBe("::1");
});

for (const [name, call] of calls) {
  // semantics: bad-port
  contract(`${name} refuses a port out of range before any system call`, async ({ localhost, socket }) => {
    const s = socket();
    for (const port of [-1, 65_536, 1.5, NaN, Infinity]) {
      const refused = call(s, [localhost(), port]);
      await expect(refused).rejects.toMatchObject({ name: "RangeError", code: "ERR_SOCKET_BAD_PORT" });
    }
    expect(s.getsockname().port).toBe(0);
    expect(s.stats().sendErrors).toEqual({});
  });

  // semantics: bad-address
  contract(
    `${name} refuses a value that is not an address with a TypeError`,
    async ({ localhost, socket }) => {
      const s = socket();
      const host = localhost();
      const wrong = [
        ["x", 9000, undefined, true, [], [host], [host, 9000, 0], [9000, host], {}, { port: 9000 }],
        [[host, "9000"], [host, null], [null, 9000], { address: host }, { address: host, port: "9000" }],
        [{ host }, { host, port: "9000" }, { host: 1, port: 9000 }, { host: null, port: 9000 }],
        [{ host, address: host, port: 9000 }],
      ].flat();
      // connect(null) dissolves, and sendMany's second argument may be left out.
      for (const address of wrong.filter((each) => each !== undefined || !name.startsWith("sendMany"))) {
        await expect(call(s, address as never), JSON.stringify(address)).rejects.toMatchObject({
          name: "TypeError",
          code: "ERR_INVALID_ARG_TYPE",
        });
      }
      expect(s.getsockname().port).toBe(0);
    },
  );

  // semantics: bad-address
  contract(`${name} of a number or a text alone says how to write the address`, async ({ socket }) => {
    await expect(call(socket(), 9000 as never)).rejects.toThrow(
      'not 9000: write [host, port]; for bind, ["", port] is a port of every interface',
    );
    await expect(call(socket(), "127.0.0.1:9000" as never)).rejects.toThrow("Address.parse reads host:port");
  });

  // semantics: bad-address
  contract(
    `${name} of an array that is no pair says how many elements it has`,
    async ({ localhost, socket }) => {
      for (const address of [[], [localhost()], [localhost(), 9000, 0]]) {
        await expect(call(socket(), address as never)).rejects.toThrow(
          `address must be a pair [host, port], not an array of ${address.length}`,
        );
      }
    },
  );

  // semantics: other-family
  contract(
    `${name} refuses an address of the other family with EAFNOSUPPORT`,
    async ({ localhost, socket }) => {
      for (const [family, other] of [
        [AF_INET, AF_INET6],
        [AF_INET6, AF_INET],
      ] as const) {
        const host = localhost(other);
        const error = await failure(call(socket(family), [host, 9000]));
        expect(error).toMatchObject({ code: "EAFNOSUPPORT", address: host, port: 9000 });
        expect(error.message).toContain(family === AF_INET ? "AF_INET" : `::ffff:${host}`);
      }
    },
  );

  // semantics: bad-address
  contract(`${name} refuses text that cannot be a host with ERR_OUT_OF_RANGE`, async ({ socket }) => {
    const s = socket();
    for (const host of ["two words", "nul\0", "127.0.0.1/8", "[::1]", "x".repeat(254), "%lo"]) {
      await expect(call(s, [host, 9000]), host).rejects.toMatchObject({
        name: "RangeError",
        code: "ERR_OUT_OF_RANGE",
      });
    }
  });
}

for (const [name, call] of calls.filter(([each]) => each !== "bind")) {
  // semantics: port-zero
  contract(`${name} refuses port 0 with EINVAL`, async ({ localhost, socket }) => {
    const s = socket();
    await expect(failure(call(s, [localhost(), 0]))).resolves.toMatchObject({ code: "EINVAL", port: 0 });
    expect(s.getsockname().port).toBe(0);
  });
}

// semantics: no-address
contract("sendto null is refused with a TypeError, connected or not", async ({ bound, socket }) => {
  const [peer, client] = [await bound(), socket()];
  for (let round = 0; round < 2; round++) {
    await expect(client.sendto("x", null as never)).rejects.toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
    await client.connect(peer.getsockname());
  }
});

// semantics: scope-unknown
contract("a scope that is not an interface of this host is ENODEV, never ignored", async ({ socket }) => {
  for (const call of [
    (s: Socket) => s.bind(["::1%nosuch", 0]),
    (s: Socket) => s.sendto("x", ["::1%nosuch", 9]),
    (s: Socket) => s.connect(["::1%nosuch", 9]),
  ]) {
    const error = await failure(call(socket(AF_INET6)));
    expect(error).toMatchObject({ code: "ENODEV" });
  }
});
