import { AF_INET, AF_INET6, AF_UNSPEC, Address } from "datagram";
import fc from "fast-check";
import { expect, test } from "vitest";

import { knownAddress, sharedAddress } from "../../src/core/address/shared-addresses.js";
import { forFamily, isEndpoint } from "../../src/core/address/address.js";

const runs = { seed: 5952, numRuns: 2_000 };
const port = fc.integer({ min: 0, max: 65_535 });
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);
const host = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.tuple(label, fc.constantFrom("local", "example", "test")).map((labels) => labels.join(".")),
  fc.constantFrom("fe80::1%eth0", "localhost", "_service.example"),
);

test("an address that is written is read back the same", () => {
  fc.assert(
    fc.property(host, port, (name, number) => {
      const address = new Address(name, number);
      const read = Address.parse(String(address));
      expect(read.equals(address)).toBe(true);
      expect(read.family).toBe(address.family);
      expect(new Address(address.host, number).host).toBe(address.host);
    }),
    runs,
  );
});

// semantics: address-json
test("an address that was JSON is the same address, with its scope and its family", () => {
  fc.assert(
    fc.property(host, port, (name, number) => {
      const address = new Address(name, number);
      const read = Address.from(JSON.parse(JSON.stringify(address)) as { host: string; port: number });
      expect(read).toEqual(address);
      expect([read.family, read.scope]).toEqual([address.family, address.scope]);
    }),
    runs,
  );
});

test("a literal has its family, and a name has none", () => {
  const family = (text: string): number => new Address(text, 1).family;
  expect(["127.0.0.1", "<broadcast>"].map(family)).toEqual([AF_INET, AF_INET]);
  expect(["::1", "fe80::1%lo", "::ffff:1.2.3.4"].map(family)).toEqual([AF_INET6, AF_INET6, AF_INET6]);
  expect(["localhost", "", "1.2.3", "256.1.1.1"].map(family)).toEqual(Array(4).fill(AF_UNSPEC));
});

test("an Address is frozen and iterable, and converts to text", () => {
  const [v4, v6, name] = [
    new Address("127.0.0.1", 9),
    new Address("FE80::1%eth0", 9),
    new Address("camera.local", 9),
  ];
  expect([v4, v6, name].map(String)).toEqual(["127.0.0.1:9", "[fe80::1%eth0]:9", "camera.local:9"]);
  expect([...v6]).toEqual(["fe80::1%eth0", 9]);
  expect(JSON.stringify({ v4 })).toBe('{"v4":{"host":"127.0.0.1","port":9}}');
  expect([v4.scope, v6.scope]).toEqual([undefined, "eth0"]);
  expect(() => Object.assign(v4, { port: 10 })).toThrow(TypeError);
  expect(v4.port).toBe(9);
});

test("withPort changes the port only, and equals compares host and port", () => {
  const address = new Address("::1", 9);
  expect(String(address.withPort(10))).toBe("[::1]:10");
  expect(address.withPort(10).equals(address)).toBe(false);
  expect(address.withPort(9).equals(address)).toBe(true);
  expect(new Address("0:0::1", 9).equals(address)).toBe(true);
  expect(new Address("::2", 9).equals(address)).toBe(false);
});

// semantics: address-forms
test("Address.parse reads host:port and [v6]:port, and a port alone with a default host", () => {
  const read = (text: string, defaultHost?: string): string => String(Address.parse(text, defaultHost));
  expect(read("192.168.1.20:9000")).toBe("192.168.1.20:9000");
  expect(read("camera.local:9000")).toBe("camera.local:9000");
  expect(read("[fe80::1%eth0]:9000")).toBe("[fe80::1%eth0]:9000");
  expect(read("[::]:0")).toBe("[::]:0");
  expect(read("9000", "0.0.0.0")).toBe("0.0.0.0:9000");
  expect(read(":9000")).toBe(":9000");
});

test("Address.parse refuses a text that is not a host with a port", () => {
  const texts = [
    "",
    ":",
    "host",
    "host:",
    "9000",
    "::1:9000",
    "::1",
    "[::1]",
    "[::1]9000",
    "[host]:9000",
    "[]:9000",
  ];
  for (const text of [
    ...texts,
    "host:x",
    "host:-1",
    "host:65536",
    "host:1.5",
    "host:123456",
    "a b:1",
    "a:1 ",
    "a:b:1",
  ]) {
    expect(() => Address.parse(text), text).toThrow(expect.objectContaining({ name: "RangeError" }));
  }
  for (const text of [undefined, null, 9000, ["host", 1]]) {
    const wrong = { name: "TypeError", code: "ERR_INVALID_ARG_TYPE" };
    expect(() => Address.parse(text as never)).toThrow(expect.objectContaining(wrong));
  }
});

test("Address.parse returns an Address or throws a RangeError with a code", () => {
  const nearly = fc.string({ unit: fc.constantFrom(...Array.from("[]:%.0123456789abcf ")) });
  fc.assert(
    fc.property(fc.oneof(fc.string(), nearly), (text) => {
      const outcome = attempt(() => Address.parse(text));
      if (outcome instanceof Address) expect(outcome.port).toBe(Number(/\d+$/.exec(text)?.[0]));
      else
        expect(outcome).toMatchObject({ name: "RangeError", code: expect.stringMatching(/^ERR_/) as string });
    }),
    runs,
  );
});

test("Address.from reads each part of a record once", () => {
  let reads = 0;
  const address = Address.from({
    get address() {
      reads++;
      return "127.0.0.1";
    },
    get port() {
      reads++;
      return 9;
    },
  });
  expect([String(address), reads]).toEqual(["127.0.0.1:9", 2]);
  expect(Address.from(address)).toBe(address);
});

test("forFamily replaces an empty host by every interface, and leaves names to the resolver", () => {
  const every = (family: typeof AF_INET | typeof AF_INET6): string =>
    String(forFamily(new Address("", 9), family, "bind"));
  expect([every(AF_INET), every(AF_INET6)]).toEqual(["0.0.0.0:9", "[::]:9"]);
  const name = new Address("localhost", 9);
  expect(forFamily(name, AF_INET, "bind")).toBe(name);
  expect([isEndpoint(name), isEndpoint(new Address("::1", 9))]).toEqual([false, true]);
  const refused = expect.objectContaining({
    code: "EAFNOSUPPORT",
    syscall: "bind",
    address: "::1",
    port: 9,
  }) as Error;
  expect(() => forFamily(new Address("::1", 9), AF_INET, "bind")).toThrow(refused);
});

test("a pair that was seen before has the same Address, with any number of others in between", () => {
  const first = knownAddress(["127.0.0.1", 4242]);
  expect(knownAddress(["127.0.0.1", 4242])).toBe(first);
  expect(sharedAddress("127.0.0.1", 4242)).toBe(first);
  for (let count = 1; count <= 10_000; count++) {
    expect(String(knownAddress([`10.0.${count % 200}.1`, count]))).toBe(`10.0.${count % 200}.1:${count}`);
  }
  expect(knownAddress(["127.0.0.1", 4242]).equals(first)).toBe(true);
});

test("a bad pair is refused every time, also after a good pair with the same host", () => {
  knownAddress(["127.0.0.1", 4243]);
  for (let count = 0; count < 2; count++) {
    expect(() => knownAddress(["127.0.0.1", 70_000])).toThrow(RangeError);
    expect(() => knownAddress(["127.0.0.1", "4243"] as never)).toThrow(TypeError);
    expect(() => knownAddress(["two words", 4243])).toThrow(RangeError);
  }
});

function attempt(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}
