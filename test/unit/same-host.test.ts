import { Address } from "datagram";
import { expect, test } from "vitest";

import { destinationOf } from "../../src/core/address/address.js";
import { sameHost } from "../../src/core/address/same-host.js";

/** A machine with two links. One of them has two names. */
const numberOf = (name: string): number | undefined => ({ eth0: 2, enp0s1: 2, eth1: 3 })[name];

// semantics: address-equality
test.for([
  ["127.0.0.1", "127.0.0.1"],
  ["127.0.0.1", "::ffff:127.0.0.1"],
  ["::ffff:7f00:1", "127.0.0.1"],
  ["0:0::1", "::1"],
  ["FE80::1%eth0", "fe80:0::1%eth0"],
  ["fe80::1%eth0", "fe80::1%2"],
  ["fe80::1%eth0", "fe80::1%enp0s1"],
  ["fe80::1%2", "fe80::1%02"],
  ["fe80::1%eth0", "fe80::1"],
  ["febf::1%gone", "febf::1%4"],
  ["::1%lo", "::1"],
  ["::ffff:127.0.0.1%lo", "127.0.0.1"],
  ["fd00::1%eth0", "fd00::1%eth1"],
  ["Camera.local", "camera.local."],
])("%s and %s are one host", ([one, other]) => {
  expect(sameHost(one!, other!, numberOf)).toBe(true);
  expect(sameHost(other!, one!, numberOf)).toBe(true);
});

// semantics: address-equality
test.for([
  ["127.0.0.1", "127.0.0.2"],
  ["127.0.0.1", "::1"],
  ["::127.0.0.1", "127.0.0.1"],
  ["0.0.0.0", "::"],
  ["fe80::1%eth0", "fe80::1%eth1"],
  ["fe80::1%eth0", "fe80::1%3"],
  ["fe80::1%2", "fe80::1%3"],
  ["fe80::1%gone", "fe80::1%lost"],
  ["ff05::1%eth0", "ff05::1%eth1"],
  ["localhost", "127.0.0.1"],
  ["camera.local", "camera"],
])("%s and %s are two", ([one, other]) => {
  expect(sameHost(one!, other!, numberOf)).toBe(false);
  expect(sameHost(other!, one!, numberOf)).toBe(false);
});

test("if the interfaces are unknown, a name and a number count as equal, and two different names do not", () => {
  expect(sameHost("fe80::1%eth0", "fe80::1%3")).toBe(true);
  expect(sameHost("fe80::1%eth0", "fe80::1%enp0s1")).toBe(false);
});

// semantics: address-equality
test("equals compares hosts and ports, not their spelling", () => {
  const [plain, inside] = [new Address("127.0.0.1", 9), new Address("::ffff:127.0.0.1", 9)];
  expect([plain.equals(inside), inside.equals(plain)]).toEqual([true, true]);
  expect(plain.equals(inside.withPort(10))).toBe(false);
});

test("datagrams to every interface go to the loopback address", () => {
  const loopback = (host: string): string => destinationOf(new Address(host, 9) as never).host;
  expect(["0.0.0.0", "::", "::ffff:0.0.0.0", "10.0.0.1"].map(loopback)).toEqual([
    "127.0.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "10.0.0.1",
  ]);
});
