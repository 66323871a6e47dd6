import {
  AF_INET,
  AF_INET6,
  Address,
  type Family,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MTU_DISCOVER,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_DO,
  SOCK_DGRAM,
  socket as open,
} from "datagram";
import { expect } from "vitest";

import { type World, contract, failure, families, mapped, soon, texts } from "./world.js";

/** The largest payload that loopback carries in one packet. Over IPv4 it is the longest possible datagram. */
const [wholeIPv4, wholeIPv6] = [65_507, 65_488];
/** Loopback carries packets of 65,536 bytes, and an IPv4 packet has at most 65,535 (RFC 791). */
const [mtuIPv4, mtuIPv6] = [65_535, 65_536];

for (const { over, family, host, mtu, whole } of [
  { over: "IPv4", family: AF_INET, host: "127.0.0.1", mtu: mtuIPv4, whole: wholeIPv4 },
  { over: "IPv6", family: AF_INET6, host: "::1", mtu: mtuIPv6, whole: wholeIPv6 },
  {
    over: "IPv4 through an IPv6 socket",
    family: AF_INET6,
    host: mapped("127.0.0.1"),
    mtu: mtuIPv4,
    whole: wholeIPv4,
  },
] as const) {
  // semantics: path-mtu
  contract(
    `pathMtu and maxPayload over ${over} are those of the loopback interface`,
    ({ socket }) => {
      const s = socket(family);
      for (const address of [
        [host, 9000],
        [host, 0],
        { address: host, port: 9 },
        new Address(host, 9),
      ] as const) {
        expect(s.pathMtu(address)).toBe(mtu);
        expect(s.maxPayload(address)).toBe(whole);
      }
    },
    "pathMtu",
  );

  // semantics: path-mtu
  contract(
    `pathMtu and maxPayload over ${over} are undefined without the feature`,
    ({ socket }) => {
      const s = socket(family);
      expect([s.pathMtu([host, 9000]), s.maxPayload([host, 9000])]).toEqual([undefined, undefined]);
    },
    "no pathMtu",
  );
}

// semantics: path-mtu-bad-address
contract(
  "pathMtu and maxPayload refuse a name, another family, a value that is not an address, and a closed socket",
  async (world) => {
    const [s, closed] = [world.socket(), world.socket()];
    await closed.close();
    for (const call of ["pathMtu", "maxPayload"] as const) {
      const error = (name: string, code: string): unknown => expect.objectContaining({ name, code });
      expect(() => s[call](["localhost", 9000])).toThrow(error("OSError", "EINVAL"));
      expect(() => s[call](["::1", 9000])).toThrow(error("OSError", "EAFNOSUPPORT"));
      expect(() => s[call]([world.localhost(), 65_536])).toThrow(error("RangeError", "ERR_SOCKET_BAD_PORT"));
      expect(() => s[call](5 as never)).toThrow(error("TypeError", "ERR_INVALID_ARG_TYPE"));
      expect(() => closed[call]([world.localhost(), 9000])).toThrow(error("OSError", "EBADF"));
    }
  },
);

// semantics: path-mtu
contract(
  "pathMtu changes nothing: the socket stays unbound and unconnected, and nothing is sent",
  async (world) => {
    const [s, peer] = [world.socket(), await world.bound()];
    s.pathMtu(peer.getsockname());
    expect(s.getsockname().port).toBe(0);
    expect(() => s.getpeername()).toThrow(expect.objectContaining({ code: "ENOTCONN" }) as Error);
    expect(s.stats().sent.datagrams).toBe(0);
    await s.connect(peer.getsockname());
    s.pathMtu([world.localhost(), 9]);
    await s.send("to the peer still");
    expect(await texts(peer, 1)).toEqual(["to the peer still"]);
  },
);

// semantics: fragmented
contract(
  "only datagrams that are longer than the path MTU allows are counted as fragmented",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(AF_INET6), await bound(AF_INET6)];
    const to = receiver.getsockname();
    const counted: (number | undefined)[] = [];
    for (const size of [0, 1472, wholeIPv6, wholeIPv6 + 1, 65_527]) {
      await sender.sendto(Buffer.alloc(size), to);
      expect((await receiver.recvmsg(soon)).size).toBe(size);
      counted.push(sender.stats().fragmented);
    }
    expect(counted).toEqual([0, 0, 0, 1, 2]);
    await sender.sendMany([Buffer.alloc(wholeIPv6 + 1), "short", Buffer.alloc(wholeIPv6)], to);
    expect(sender.stats().fragmented).toBe(3);
  },
  "pathMtu",
);

// semantics: fragmented
contract(
  "if the driver does not know the path, the count of fragmented datagrams is undefined and not 0",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(AF_INET6), await bound(AF_INET6)];
    await sender.sendto(Buffer.alloc(65_527), receiver.getsockname());
    expect((await receiver.recvmsg(soon)).size).toBe(65_527);
    expect(sender.stats().fragmented).toBeUndefined();
  },
  "no pathMtu",
);

/** A socket with `dontFragment`, and a socket that receives from it. */
async function unfragmented({ bound }: World, family: Family) {
  return [await bound(family, { dontFragment: true }), await bound(family)] as const;
}

for (const [ip, family] of families) {
  // semantics: dont-fragment
  contract(
    `dontFragment over ${ip}: a datagram that fits the path is sent`,
    async (world) => {
      const [sender, receiver] = await unfragmented(world, family);
      const to = receiver.getsockname();
      const most = sender.maxPayload(to)!;
      for (const size of [0, 1472, most]) {
        await expect(sender.sendto(Buffer.alloc(size), to)).resolves.toBe(size);
        expect((await receiver.recvmsg(soon)).size).toBe(size);
      }
      const [level, option] =
        family === AF_INET ? [IPPROTO_IP, IP_MTU_DISCOVER] : [IPPROTO_IPV6, IPV6_MTU_DISCOVER];
      expect(sender.getsockopt(level, option)).toBe(IP_PMTUDISC_DO);
      expect(sender.stats()).toMatchObject({ fragmented: 0, tooBig: 0 });
    },
    "pathMtu",
  );
}

// semantics: dont-fragment
contract(
  "dontFragment: one byte more than the path allows is EMSGSIZE with the limit, and other datagrams are sent",
  async (world) => {
    const [sender, receiver] = await unfragmented(world, AF_INET6);
    const to = receiver.getsockname();
    const big = Buffer.alloc(wholeIPv6 + 1);
    const error = await failure(sender.sendto(big, to));
    expect(error).toMatchObject({ code: "EMSGSIZE", syscall: "sendto", address: to.host, limit: wholeIPv6 });
    const many = await failure(sender.sendMany(["1", big, "2"], to));
    expect(many).toMatchObject({ code: "EMSGSIZE", index: 1, sent: 2, limit: wholeIPv6 });
    expect(await texts(receiver, 2)).toEqual(["1", "2"]);
    await sender.connect(to);
    await expect(failure(sender.send(big))).resolves.toMatchObject({ code: "EMSGSIZE", limit: wholeIPv6 });
    expect(sender.stats()).toMatchObject({ tooBig: 3, fragmented: 0, sendErrors: { EMSGSIZE: 3 } });
  },
  "pathMtu",
);

// semantics: dont-fragment-dgram
contract(
  "dontFragment without the feature: socket() is ENOTSUP, and the error names a driver that can",
  () => {
    for (const [, family] of families) {
      expect(() => open(family, SOCK_DGRAM, { dontFragment: true })).toThrow(
        expect.objectContaining({
          name: "OSError",
          code: "ENOTSUP",
          syscall: "socket",
          message: expect.stringContaining("native") as string,
        }) as Error,
      );
    }
  },
  "no pathMtu",
);

// semantics: probe
contract(
  "a probe is never fragmented, although the socket's other datagrams may be",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(AF_INET6), await bound(AF_INET6)];
    const address = receiver.getsockname();
    await expect(sender.sendmsg({ data: Buffer.alloc(wholeIPv6), address, probe: true })).resolves.toBe(
      wholeIPv6,
    );
    expect((await receiver.recvmsg(soon)).size).toBe(wholeIPv6);
    const big = Buffer.alloc(wholeIPv6 + 1);
    const error = await failure(sender.sendmsg({ data: big, address, probe: true }));
    expect(error.code).toBe("EMSGSIZE");
    await expect(sender.sendto(big, address)).resolves.toBe(wholeIPv6 + 1);
    expect((await receiver.recvmsg(soon)).size).toBe(wholeIPv6 + 1);
  },
  "pathMtu",
);
