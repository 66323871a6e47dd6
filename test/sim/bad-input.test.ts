import { Network, applyScenario } from "datagram/sim";
import { describe, expect, test } from "vitest";

import { failure } from "./tools.js";

function pair() {
  const network = new Network();
  const a = network.host("a", { address: "10.0.0.1" });
  const b = network.host("b", { address: "10.0.0.2" });
  return { network, a, b };
}

const range = "ERR_OUT_OF_RANGE";
const type = "ERR_INVALID_ARG_TYPE";

/** The code and the message of the error that a call throws. */
function thrown(call: () => unknown): [code: unknown, message: string] {
  try {
    call();
  } catch (error) {
    return [(error as { code?: unknown }).code, (error as Error).message];
  }
  return [undefined, "nothing"];
}

test("the error of a port in use names no command of the machine", async () => {
  const { network, a } = pair();
  await network.run(async () => {
    const [first, second] = [a.socket(), a.socket()];
    await first.bind(["10.0.0.1", 9000]);
    await expect(second.bind(["10.0.0.1", 9000])).rejects.toMatchObject({
      code: "EADDRINUSE",
      message: expect.stringMatching(
        /^bind 10\.0\.0\.1:9000: another socket has this address; SO_REUSEPORT/,
      ) as string,
    });
  });
});

describe("a bad network", () => {
  for (const [seed, code] of [
    [-1, range],
    [1.5, range],
    [2 ** 32, range],
    [NaN, range],
    ["7", type],
  ] as const) {
    test(`a network with the seed ${typeof seed} ${seed} is refused`, () => {
      expect(thrown(() => new Network({ seed: seed as never }))).toEqual([
        code,
        expect.stringMatching(/^seed must be/),
      ]);
    });
  }

  test("a network with invalid options, or with invalid limits of its trace, is refused", () => {
    expect(thrown(() => new Network(5 as never))).toEqual([type, "options must be an object, not 5"]);
    for (const trace of [{ packets: -1 }, { packets: 1e9 }, { bytes: 1.5 }]) {
      expect(thrown(() => new Network({ trace }))).toEqual([
        range,
        expect.stringMatching(/^trace\.(packets|bytes) must be/),
      ]);
    }
    expect(thrown(() => new Network({ trace: null as never }))[0]).toBe(type);
  });

  test("a seed that is a uint32 is accepted", () => {
    for (const seed of [0, 2 ** 32 - 1]) expect(new Network({ seed }).seed).toBe(seed);
    expect(new Network().seed).toBe(1);
  });
});

describe("a bad host", () => {
  for (const [what, name, options, code, message] of [
    ["a name that is no string", 5, { address: "10.0.0.3" }, type, /^name of a host must be a string, not 5/],
    [
      "a name with a space",
      "a b",
      { address: "10.0.0.3" },
      range,
      /^name of a host must be 1 to 63 characters/,
    ],
    ["an empty name", "", { address: "10.0.0.3" }, range, /^name of a host/],
    [
      "a name that is taken",
      "a",
      { address: "10.0.0.3" },
      range,
      /^name of a host must be a name that is not in use, not "a"/,
    ],
    [
      "the name of a router",
      "r",
      { address: "10.0.0.3" },
      range,
      /^name of a host must be a name that is not in use/,
    ],
    [
      "the name localhost",
      "localhost",
      { address: "10.0.0.3" },
      range,
      /^name of a host must be a name that is not in use/,
    ],
    ["no options", "x", undefined, type, /^host x: options must be an object/],
    ["no address", "x", {}, range, /^host x: address must be an IP address/],
    ["no addresses", "x", { addresses: [] }, range, /^host x: address/],
    [
      "both",
      "x",
      { address: "10.0.0.3", addresses: [] },
      range,
      /^host x: address must be left out if addresses is given/,
    ],
    [
      "addresses that are not an array",
      "x",
      { addresses: "10.0.0.3" },
      type,
      /^host x: addresses must be an array/,
    ],
    ["a number as its address", "x", { address: 5 }, type, /^host x: address must be an IP address/],
    ["a name for an address", "x", { address: "camera" }, range, /^host x: address .*"camera"/],
    [
      "an address that another has",
      "x",
      { address: "10.0.0.1" },
      range,
      /^host x: address must be an address that is not in use \(a has it\), not "10\.0\.0\.1"/,
    ],
    ["the same address, in another network", "x", { address: "10.0.0.1/8" }, range, /a has it/],
    ["the address of a router", "x", { address: "10.0.0.254" }, range, /r has it/],
    [
      "the same address twice, written differently",
      "x",
      { addresses: ["fd00::1", "fd00:0::1/64"] },
      range,
      /it has it/,
    ],
    ["a scope", "x", { address: "fe80::1%eth0" }, range, /^host x: address/],
    [
      "a prefix above 32",
      "x",
      { address: "10.0.0.3/33" },
      range,
      /^host x: address must be a prefix of 0 to 32 bits/,
    ],
    ["a prefix above 128", "x", { address: "fd00::3/129" }, range, /0 to 128 bits/],
    ["an invalid prefix", "x", { address: "10.0.0.3/x" }, range, /0 to 32 bits/],
    ["two prefixes", "x", { address: "10.0.0.3/8/8" }, range, /^host x: address/],
    ["multicast", "x", { address: "224.0.0.1" }, range, /^host x: address must be the address of one host/],
    ["multicast of IPv6", "x", { address: "ff02::1" }, range, /one host/],
    ["loopback", "x", { address: "127.0.0.1" }, range, /one host/],
    ["loopback of IPv6", "x", { address: "::1" }, range, /one host/],
    ["the broadcast address of every network", "x", { address: "255.255.255.255" }, range, /one host/],
    ["its own broadcast", "x", { address: "10.0.0.255" }, range, /one host/],
    ["the unspecified address", "x", { address: "0.0.0.0" }, range, /one host/],
    ["the unspecified address of IPv6", "x", { address: "::" }, range, /one host/],
    ["IPv4 as IPv6", "x", { address: "::ffff:10.0.0.3" }, range, /one host/],
  ] as const) {
    test(`a host with ${what} is refused`, () => {
      const { network } = pair();
      network.router("r", { address: "10.0.0.254" });
      const call = (): unknown => network.host(name as never, options as never);
      expect(thrown(call)).toEqual([code, expect.stringMatching(message)]);
      // The refused host left nothing behind.
      expect(network.host("x", { addresses: ["10.0.0.3", "fd00::1", "10.0.0.255/16"] }).address).toBe(
        "10.0.0.3",
      );
    });
  }

  test("an address that looks like a broadcast is accepted in a network of two, or alone", async () => {
    const network = new Network();
    const [a, b] = [
      network.host("a", { address: "10.0.0.254/31" }),
      network.host("b", { address: "10.0.0.255/31" }),
    ];
    const c = network.host("c", { address: "10.1.0.7/32" });
    network.link(a, b);
    network.link(b, c);
    await network.run(async () => {
      for (const [from, to] of [
        [a, b],
        [b, a],
        [b, c],
      ] as const) {
        const r = to.socket();
        await r.bind([to.address, 9000]);
        await from.socket().sendto("x", [to.address, 9000]);
        expect((await r.recvmsg()).source.host).toBe(from.address);
      }
    });
  });
});

describe("a bad router", () => {
  for (const [what, options, code, message] of [
    ["a NAT of another type", { nat: 5 }, type, /^router x: nat must be true or an object/],
    ["a NAT that is null", { nat: null }, type, /^router x: nat/],
    [
      "networks that are not an array",
      { nat: { inside: "10.0.0.0/8" } },
      type,
      /^router x: nat\.inside must be an array/,
    ],
    [
      "an invalid network",
      { nat: { inside: ["10.0.0.0/33"] } },
      range,
      /^router x: nat\.inside must be a prefix/,
    ],
    [
      "a network of IPv6",
      { nat: { inside: ["fd00::/8"] } },
      range,
      /^router x: nat\.inside must be networks of IPv4, not "fd00::\/8"/,
    ],
    ["a time of 0 for mappings", { nat: { mappingTimeoutMs: 0 } }, range, /^router x: nat\.mappingTimeoutMs/],
    ["a text for a time", { nat: { mappingTimeoutMs: "5" } }, type, /^router x: nat\.mappingTimeoutMs/],
    [
      "another filtering",
      { nat: { filtering: "full cone" } },
      range,
      /^router x: nat\.filtering must be one of endpoint-independent/,
    ],
    ["another firewall", { firewall: { dropUdp: true } }, range, /^router x: firewall: a field/],
    ["an address that another has", { address: "10.0.0.1" }, range, /^router x: address .* \(a has it\)/],
    ["options of another type", 5, type, /^router x: options must be an object/],
  ] as const) {
    test(`a router with ${what} is refused`, () => {
      const { network } = pair();
      expect(thrown(() => network.router("x", options as never))).toEqual([
        code,
        expect.stringMatching(message),
      ]);
      expect(network.router("x").name).toBe("x");
    });
  }

  test("a thousand routers without addresses each get one that no host has", () => {
    const network = new Network();
    network.host("a", { addresses: ["198.18.0.1", "2001:2::2"] });
    const addresses = Array.from({ length: 1000 }, (_, index) => network.router(`r${index}`).addresses);
    expect(new Set(addresses.flat()).size).toBe(2000);
    expect(addresses[0]).toEqual(["198.18.0.3", "2001:2::3"]);
  });

  test("a switch with a name that is taken is refused", () => {
    const { network } = pair();
    expect(thrown(() => network.switch("a"))).toEqual([
      range,
      expect.stringMatching(/^name of a switch must be a name that is not in use/),
    ]);
  });
});

describe("a bad link", () => {
  for (const [what, settings, code, message] of [
    [
      "a ratio below 0",
      { lossRatio: -0.1 },
      range,
      /^link a–b: lossRatio must be a ratio from 0 to 1, not -0\.1/,
    ],
    ["a ratio above 1", { duplicateRatio: 1.1 }, range, /^link a–b: duplicateRatio/],
    ["a ratio that is no number", { reorderRatio: NaN }, range, /^link a–b: reorderRatio/],
    ["a text for a ratio", { corruptRatio: "0.5" }, type, /^link a–b: corruptRatio/],
    ["a bad ratio of one direction", { down: { lossRatio: 2 } }, range, /^link a–b, down: lossRatio/],
    ["an MTU below 68", { mtuBytes: 67 }, range, /^link a–b: mtuBytes must be a whole number from 68/],
    ["an MTU above 65,536", { mtuBytes: 65_537 }, range, /^link a–b: mtuBytes/],
    ["an unknown profile", "lan party", range, /^link a–b: profile must be one of/],
    ["an unknown field", { latency: 5 }, range, /^link a–b: a field/],
    ["settings of another type", 5, type, /^link a–b must be settings/],
  ] as const) {
    test(`a link with ${what} is refused, when it is made and when it is set`, () => {
      const { network, a, b } = pair();
      expect(thrown(() => network.link(a, b, settings as never))).toEqual([
        code,
        expect.stringMatching(message),
      ]);
      const link = network.link(a, b);
      expect(thrown(() => link.set(settings as never))).toEqual([code, expect.stringMatching(message)]);
    });
  }

  test("a link with an MTU below 1280 at a host with an IPv6 address is refused, in either direction and order", () => {
    const { network, a, b } = pair();
    const six = network.host("six", { addresses: ["10.0.0.6", "fd00::6"] });
    const message = /^link .*six.*: mtuBytes must be at least 1280, since six has an IPv6 address, not 1279/;
    for (const settings of [{ mtuBytes: 1279 }, { up: { mtuBytes: 1279 } }, { down: { mtuBytes: 1279 } }]) {
      expect(thrown(() => network.link(a, six, settings))).toEqual([range, expect.stringMatching(message)]);
      expect(thrown(() => network.link(six, b, settings))).toEqual([range, expect.stringMatching(message)]);
    }
    const link = network.link(a, six, { mtuBytes: 1280 });
    expect(thrown(() => link.set({ mtuBytes: 1279 }))).toEqual([range, expect.stringMatching(message)]);
  });

  test("a second link between the same two nodes, and a link of a node with itself, are refused", () => {
    const { network, a, b } = pair();
    network.link(a, b);
    for (const [from, to] of [
      [a, b],
      [b, a],
      [a, a],
    ] as const) {
      const name = `link ${from.name}–${to.name}`;
      expect(thrown(() => network.link(from, to))).toEqual([
        range,
        expect.stringContaining(`${name} must be the only link between two nodes`),
      ]);
    }
  });

  test("a link with a node of another network, a name, or nothing is refused", () => {
    const { network, a } = pair();
    const other = new Network().host("b", { address: "10.0.0.2" });
    for (const [node, shown] of [
      [other, '"b"'],
      ["b", '"b"'],
      [undefined, "undefined"],
      [null, "null"],
      [{ name: "a" }, '"a"'],
    ] as const) {
      const message = expect.stringContaining(
        `must be a host, a router or a switch of this network, not ${shown}`,
      ) as string;
      expect(thrown(() => network.link(a, node as never))).toEqual([type, message]);
      expect(thrown(() => network.link(node as never, a))).toEqual([type, message]);
    }
  });
});

describe("bad calls", () => {
  test("partition() refuses arguments that are not groups of hosts", () => {
    const { network, a, b } = pair();
    const other = new Network().host("a", { address: "10.0.0.1" });
    const router = network.router("r");
    for (const [groups, code, message] of [
      [[a, b], type, /^partition: group 0 must be an array of hosts/],
      [[[a], [other]], type, /^partition: group 1 must be hosts of this network, not "a"/],
      [[["a"]], type, /^partition: group 0 must be hosts of this network, not "a"/],
      [[[undefined]], type, /^partition: group 0/],
      [[[router]], type, /^partition: group 0 must be hosts of this network, not "r"/],
      [[[a, b], [a]], range, /^partition: group 1 must be hosts that no other group has, not "a"/],
    ] as const) {
      expect(thrown(() => network.partition(...(groups as readonly unknown[] as never[])))).toEqual([
        code,
        expect.stringMatching(message),
      ]);
    }
  });

  test("blackHole() and drop() refuse arguments that are not possible, and the error names the link", () => {
    const { network, a, b } = pair();
    const link = network.link(a, b);
    for (const [hole, code, message] of [
      [{ onMs: 0, offMs: 1 }, range, /^link a–b: blackHole: onMs must be more than 0/],
      [{ onMs: -1, offMs: 1 }, range, /^link a–b: blackHole: onMs/],
      [{ onMs: NaN, offMs: 1 }, range, /onMs/],
      [{ onMs: 1, offMs: Infinity }, range, /offMs/],
      [{ onMs: 1, offMs: 1, firstMs: -1 }, range, /firstMs/],
      [{ onMs: "1", offMs: 1 }, type, /^link a–b: blackHole: onMs must be milliseconds, not "1"/],
      [{ onMs: 1 }, type, /offMs/],
      [null, type, /^link a–b: blackHole must be an object/],
    ] as const) {
      expect(thrown(() => link.blackHole(hole as never))).toEqual([code, expect.stringMatching(message)]);
    }
    expect(thrown(() => link.drop("x" as never))).toEqual([
      type,
      expect.stringMatching(/^link a–b: drop must be a function/),
    ]);
    expect(thrown(() => link.drop(() => true, "left" as never))).toEqual([
      range,
      expect.stringMatching(/^link a–b: drop: direction must be up or down/),
    ]);
  });

  test("run() without a program, with invalid limits, or within a run is refused", async () => {
    const { network } = pair();
    expect(await failure(network.run(5 as never))).toMatchObject({ code: type });
    for (const limitMs of [0, -1, NaN, Infinity, "5"]) {
      expect(await failure(network.run(() => 1, { limitMs: limitMs as never }))).toMatchObject({
        code: expect.stringMatching(/^ERR_(OUT_OF_RANGE|INVALID_ARG_TYPE)$/) as string,
      });
    }
    await network.run(async () => {
      expect(String(await failure(new Network().run(() => 1)))).toMatch(/a run is active/);
    });
    expect(await network.run(() => 1)).toBe(1);
  });
});

test("an unknown field is refused with its name and the known fields", () => {
  const network = new Network();
  const { network: other, a, b } = pair();
  const link = other.link(a, b);
  const address = "10.0.0.1";
  for (const [call, message] of [
    [
      () => new Network({ sed: 7 } as never),
      /^options: a field must be one of seed, seedProgram, trace, not "sed"/,
    ],
    [() => new Network({ trace: { packet: 1 } as never }), /^trace: a field .* "packet"/],
    [() => network.host("a", { address, adress: address } as never), /^host a: a field .* "adress"/],
    [() => network.router("r", { firewal: {} } as never), /^router r: a field .* "firewal"/],
    [() => network.router("r", { nat: { outside: 1 } as never }), /^router r: nat: a field .* "outside"/],
    [
      () => link.blackHole({ onMs: 1, offMS: 1 } as never),
      /blackHole: a field .* "offMS": did you mean offMs/,
    ],
    [
      () => applyScenario(other, link, "transfer", { adresses: [] } as never),
      /^options: a field .* "adresses": did you mean addresses/,
    ],
  ] as const) {
    expect(thrown(call)).toEqual([range, expect.stringMatching(message)]);
  }
});

test("eventually() refuses an unknown option before its first try", async () => {
  let tries = 0;
  const network = new Network();
  const trial = network.run(() => network.eventually(() => ++tries > 0, { timeoutMS: 5 } as never));
  expect(await failure(trial)).toMatchObject({
    code: range,
    message: expect.stringMatching(/^options: a field .* "timeoutMS": did you mean timeoutMs/) as string,
  });
  expect(tries).toBe(0);
});

test("a NAT whose own address is in the networks behind it is refused, since it would translate nothing", () => {
  const network = new Network();
  expect(thrown(() => network.router("home", { address: "10.0.0.254", nat: true }))).toEqual([
    range,
    expect.stringMatching(/^router home: nat.inside must be networks without its own address 10\.0\.0\.254/),
  ]);
});
