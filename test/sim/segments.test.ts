import {
  AF_INET6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_IF,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  SOL_SOCKET,
  SO_BROADCAST,
  type Datagram,
  type Family,
  type Socket,
} from "datagram";
import { type Host, Network } from "datagram/sim";
import { describe, expect, test } from "vitest";

import { fates, heard, icmpOn, pause } from "./tools.js";

/** Two segments with three hosts each, connected by a router. `both` is on either segment. */
function twoSegments() {
  const network = new Network();
  const segments = [network.switch("one"), network.switch("two")] as const;
  const router = network.router("router", { addresses: ["10.0.0.254", "10.0.1.254"] });
  const both = network.host("both", {
    addresses: ["10.0.0.9", "10.0.1.9", "fd00:0:0:0::9", "fd00:0:0:1::9"],
  });
  const hosts = segments.map((segment, index) =>
    ["a", "b", "c"].map((name, at) => {
      const host = network.host(`${name}${index}`, {
        addresses: [`10.0.${index}.${at + 1}`, `fd00:0:0:${index}::${at + 1}`],
      });
      network.link(host, segment);
      return host;
    }),
  );
  for (const segment of segments) {
    network.link(router, segment);
    network.link(both, segment);
  }
  const [one = [], two = []] = hosts;
  return { network, one, two, all: [...one, ...two, both], both };
}

async function listening(host: Host, family?: Family): Promise<[Socket, Datagram[]]> {
  const s = host.socket(family);
  await s.bind([family === AF_INET6 ? "::" : "0.0.0.0", 9000]);
  return [s, heard(s)];
}

/** The names of the hosts that received a datagram, with its destination. */
async function hearers(hosts: readonly Host[], lists: readonly Datagram[][]): Promise<string[]> {
  await pause(10);
  return hosts.flatMap(({ name }, index) =>
    (lists[index] ?? []).map(({ destination }) => `${name} ${destination?.host}`),
  );
}

function broadcaster(host: Host): Socket {
  const s = host.socket();
  s.setsockopt(SOL_SOCKET, SO_BROADCAST, 1);
  return s;
}

describe("broadcast", () => {
  for (const [name, destination] of [
    ["limited", "255.255.255.255"],
    ["directed", "10.0.0.255"],
  ] as const) {
    test(`${name}: every host on the segment receives it, the sender too, and no host beyond the router`, async () => {
      const { network, one, all } = twoSegments();
      await network.run(async () => {
        const lists = (await Promise.all(all.map((host) => listening(host)))).map(([, list]) => list);
        await broadcaster(one[0]!).sendto("x", [destination, 9000]);
        expect(await hearers(all, lists)).toEqual(
          ["a0", "b0", "c0", "both"].map((host) => `${host} ${destination}`),
        );
        expect(lists[1]?.[0]?.source.host).toBe("10.0.0.1");
      });
      // No host answers a broadcast with an ICMP error, and no router does (RFC 1122, section 3.2.2).
      expect(icmpOn(network)).toEqual([]);
      expect(fates(network, "one→router")).toEqual({ "no route": 1 });
    });
  }

  test("a broadcast to a closed port causes no ICMP error", async () => {
    const { network, one } = twoSegments();
    await network.run(async () => {
      await broadcaster(one[0]!).sendto("x", ["10.0.0.255", 9999]);
      await pause(100);
    });
    expect(icmpOn(network)).toEqual([]);
    expect(fates(network, "one→b0")).toEqual({ "nobody listens": 1 });
  });

  test("a host on two segments reaches each by its directed broadcast, from its address there", async () => {
    const { network, one, two, both } = twoSegments();
    const others = [...one, ...two];
    await network.run(async () => {
      const lists = (await Promise.all(others.map((host) => listening(host)))).map(([, list]) => list);
      await broadcaster(both).sendto("x", ["10.0.1.255", 9000]);
      expect(await hearers(others, lists)).toEqual(["a1", "b1", "c1"].map((host) => `${host} 10.0.1.255`));
      expect(lists[3]?.[0]?.source.host).toBe("10.0.1.9");
    });
  });

  test("a broadcast of another network does not leave the own network", async () => {
    const { network, one, all } = twoSegments();
    await network.run(async () => {
      const lists = (await Promise.all(all.map((host) => listening(host)))).map(([, list]) => list);
      const sent = broadcaster(one[0]!).sendto("x", ["10.0.1.255", 9000]);
      await sent.catch(() => undefined);
      expect(await hearers(all, lists)).toEqual([]);
    });
    expect(icmpOn(network)).toEqual([]);
  });
});

describe("multicast", () => {
  const group = "239.1.2.3";

  test("members on the segment receive a group, others do not, and it does not cross a router", async () => {
    for (const ttl of [1, 32]) {
      const { network, one, all } = twoSegments();
      await network.run(async () => {
        const lists: Datagram[][] = [];
        for (const host of all) {
          const [s, list] = await listening(host);
          if (/^b\d/.test(host.name)) s.addMembership(group);
          lists.push(list);
        }
        const s = one[0]!.socket();
        s.setsockopt(IPPROTO_IP, IP_MULTICAST_TTL, ttl);
        await s.sendto("x", [group, 9000]);
        expect(await hearers(all, lists)).toEqual([`b0 ${group}`]);
        expect(lists[1]?.[0]?.ttl).toBe(ttl);
      });
      expect(fates(network, "one→c0")).toEqual({ "nobody listens": 1 });
      expect(icmpOn(network)).toEqual([]);
    }
  });

  test("a socket that left a group receives it no longer, and a closed socket is no member", async () => {
    const { network, one } = twoSegments();
    await network.run(async () => {
      const [r, list] = await listening(one[1]!);
      const s = one[0]!.socket();
      const say = async (): Promise<number> => {
        await s.sendto("x", [group, 9000]);
        await pause(10);
        return list.length;
      };
      const other = one[1]!.socket();
      other.addMembership(group);
      expect(await say()).toBe(1);
      await other.close();
      expect(await say()).toBe(1);
      r.addMembership(group);
      expect(await say()).toBe(2);
      r.dropMembership(group);
      expect(await say()).toBe(2);
    });
  });

  test("a member that sends receives its own datagrams, unless LOOP is off", async () => {
    const { network, one } = twoSegments();
    await network.run(async () => {
      const [s, own] = await listening(one[0]!);
      const [r, other] = await listening(one[1]!);
      for (const each of [s, r]) each.addMembership(group);
      await s.sendto("heard", [group, 9000]);
      s.setsockopt(IPPROTO_IP, IP_MULTICAST_LOOP, 0);
      await s.sendto("unheard", [group, 9000]);
      await pause(10);
      expect([own, other].map((list) => list.map(({ data }) => data.toString()))).toEqual([
        ["heard"],
        ["heard", "unheard"],
      ]);
      expect(own[0]?.source.host).toBe("10.0.0.1");
    });
  });

  test("IP_MULTICAST_IF chooses the segment, by an address of this host there, and that address is the source", async () => {
    for (const [address, names] of [
      ["10.0.0.9", ["a0", "b0", "c0"]],
      ["10.0.1.9", ["a1", "b1", "c1"]],
    ] as const) {
      const { network, one, two, both } = twoSegments();
      const others = [...one, ...two];
      await network.run(async () => {
        const lists: Datagram[][] = [];
        for (const host of others) {
          const [s, list] = await listening(host);
          s.addMembership(group);
          lists.push(list);
        }
        const s = both.socket();
        s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, address);
        await s.sendto("x", [group, 9000]);
        expect(await hearers(others, lists)).toEqual(names.map((name) => `${name} ${group}`));
        expect(lists.flat()[0]?.source.host).toBe(address);
      });
    }
  });

  test("a membership is for one segment, named by an address or an interface", async () => {
    const { network, one, two, both } = twoSegments();
    for (const at of ["10.0.1.9", "eth1"]) {
      await network.run(async () => {
        const [r, list] = await listening(both);
        r.addMembership(group, at);
        await one[0]!.socket().sendto("one", [group, 9000]);
        await two[0]!.socket().sendto("two", [group, 9000]);
        await pause(10);
        expect(list.map(({ data, interface: by }) => [data.toString(), by])).toEqual([["two", "eth1"]]);
      });
    }
  });

  test("over IPv6, members receive the group, and IPV6_MULTICAST_IF chooses the segment", async () => {
    const { network, one, two, both } = twoSegments();
    const others = [...one, ...two];
    await network.run(async () => {
      const lists: Datagram[][] = [];
      for (const host of others) {
        const [s, list] = await listening(host, AF_INET6);
        if (!host.name.startsWith("c")) s.addMembership("ff02::77");
        lists.push(list);
      }
      const s = both.socket(AF_INET6);
      s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, "eth1");
      await s.sendto("x", ["ff02::77", 9000]);
      await pause(10);
      expect(lists.map((list) => list.map(({ source }) => source.host))).toEqual([
        [],
        [],
        [],
        ["fd00:0:0:1::9"],
        ["fd00:0:0:1::9"],
        [],
      ]);
    });
  });
});
