import * as datagram from "datagram";
import fc from "fast-check";
import { expect, test } from "vitest";

import { checkInterface, checkValue, findOption } from "../../src/core/driver/options.js";

const { AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, SOL_SOCKET } = datagram;

/** The level of an option by the start of its name, and the family that it needs. */
const levels = [
  [/^SO_/, SOL_SOCKET, AF_INET],
  [/^IP_(?!PMTUDISC)/, IPPROTO_IP, AF_INET],
  [/^IPV6_/, IPPROTO_IPV6, AF_INET6],
] as const;

/** Every constant that names an option. */
const named = Object.entries(datagram).flatMap(([name, option]) => {
  const [, level, family] = levels.find(([pattern]) => pattern.test(name)) ?? [];
  return typeof option === "number" && level !== undefined ? [{ name, option, level, family }] : [];
});

const error = (code: string): Error => expect.objectContaining({ name: "OSError", code }) as Error;
const rangeError = expect.objectContaining({ name: "RangeError", code: "ERR_OUT_OF_RANGE" }) as Error;
const typeError = expect.objectContaining({ name: "TypeError", code: "ERR_INVALID_ARG_TYPE" }) as Error;

test("every exported constant is an option with that name", () => {
  expect(named.length).toBeGreaterThan(25);
  for (const { name, option, level, family } of named) {
    expect(findOption(level, option, family, "getsockopt").name).toBe(name);
  }
});

test("an IPv6 option is ENOPROTOOPT on an IPv4 socket, and the error names both; an IPv6 socket has the IPv4 options too", () => {
  for (const { name, option, level, family } of named) {
    if (family === AF_INET) expect(findOption(level, option, AF_INET6, "setsockopt").name).toBe(name);
    else {
      const told = new RegExp(`${name} .*AF_INET6.*ENOPROTOOPT`);
      expect(() => findOption(level, option, AF_INET, "setsockopt")).toThrow(told);
    }
  }
});

test("a level or an option that is not a number is a TypeError, and an unknown one ENOPROTOOPT", () => {
  for (const wrong of ["1", null, undefined, {}, true, 1n]) {
    expect(() => findOption(wrong, 1, AF_INET, "getsockopt")).toThrow(typeError);
    expect(() => findOption(SOL_SOCKET, wrong, AF_INET, "getsockopt")).toThrow(typeError);
  }
  for (const unknown of [-1, 9999, 1.5, NaN, Infinity]) {
    expect(() => findOption(SOL_SOCKET, unknown, AF_INET, "getsockopt")).toThrow(error("ENOPROTOOPT"));
    expect(() => findOption(unknown, 1, AF_INET, "getsockopt")).toThrow(error("ENOPROTOOPT"));
  }
});

test("a value is accepted unchanged, or refused with a code", () => {
  fc.assert(
    fc.property(fc.constantFrom(...named), fc.anything({ withBigInt: true }), (constant, value) => {
      const found = findOption(constant.level, constant.option, constant.family, "setsockopt");
      const outcome = attempt(() => checkValue(found, value));
      if (outcome instanceof Error)
        expect(outcome).toMatchObject({ code: expect.stringMatching(/^E/) as string });
      else if (found.kind !== "interface") expect(outcome).toBe(asNumber(value));
      // The system chooses: each option has its value for that.
      else if (["", "0", "0.0.0.0", "::"].includes(String(value))) expect(outcome).toMatch(/^(0\.0\.0\.0)?$/);
      else expect(outcome).toBe(String(value));
    }),
    { seed: 30, numRuns: 3_000 },
  );
});

test("a flag can be a boolean, 0 or 1", () => {
  const flag = findOption(SOL_SOCKET, datagram.SO_BROADCAST, AF_INET, "setsockopt");
  expect([true, false, 1, 0].map((value) => checkValue(flag, value))).toEqual([1, 0, 1, 0]);
  for (const wrong of [2, -1, 0.5, NaN]) expect(() => checkValue(flag, wrong)).toThrow(rangeError);
  for (const wrong of ["1", null, undefined]) expect(() => checkValue(flag, wrong)).toThrow(typeError);
});

test("integers have a minimum and a maximum", () => {
  const ttl = findOption(IPPROTO_IP, datagram.IP_TTL, AF_INET, "setsockopt");
  expect([1, 255].map((value) => checkValue(ttl, value))).toEqual([1, 255]);
  for (const wrong of [0, 256, 1.5, NaN, Infinity]) expect(() => checkValue(ttl, wrong)).toThrow(rangeError);
  for (const wrong of ["1", true, null]) expect(() => checkValue(ttl, wrong)).toThrow(typeError);
});

test("read-only options cannot be set", () => {
  for (const name of ["SO_TYPE", "SO_ERROR", "SO_DOMAIN", "SO_PROTOCOL"] as const) {
    const found = findOption(SOL_SOCKET, datagram[name], AF_INET, "setsockopt");
    expect(() => checkValue(found, 1)).toThrow(error("ENOPROTOOPT"));
  }
});

test("an interface is a name, a number or an address", () => {
  const taken = ["eth0", "127.0.0.1", "fe80::1%eth0", "br-lan.100"];
  expect(taken.map((value) => checkInterface("interface", value))).toEqual(taken);
  expect(checkInterface("interface", 2)).toBe("2");
  for (const wrong of ["", "two words", "a/b", "nul\0", "x".repeat(61), -1, 1.5, 2 ** 31]) {
    expect(() => checkInterface("interface", wrong)).toThrow(rangeError);
  }
  for (const wrong of [null, undefined, {}, true])
    expect(() => checkInterface("interface", wrong)).toThrow(typeError);
});

test("SO_BINDTODEVICE accepts the name of an interface, and an empty name to unbind", () => {
  const device = findOption(SOL_SOCKET, datagram.SO_BINDTODEVICE, AF_INET, "setsockopt");
  expect(["lo", ""].map((value) => checkValue(device, value))).toEqual(["lo", ""]);
  for (const wrong of ["two words", "0123456789abcdef", "a/b"])
    expect(() => checkValue(device, wrong)).toThrow(rangeError);
  expect(() => checkValue(device, 1)).toThrow(typeError);
});

function asNumber(value: unknown): unknown {
  return typeof value === "boolean" ? Number(value) : value;
}

function attempt(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}
