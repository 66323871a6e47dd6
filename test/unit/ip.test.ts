import { isIP, isIPv4, isIPv6 } from "node:net";

import fc from "fast-check";
import { expect, test } from "vitest";

import { formatLiteral, isMapped, isMulticast, parseLiteral } from "../../src/core/ip.js";

const runs = { seed: 791, numRuns: 5_000 };

const ipv4Bytes = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** Bytes with runs of zeros, for which the text has short forms. */
const ipv6Bytes = fc
  .array(fc.oneof(fc.constant([0, 0]), fc.tuple(fc.nat(255), fc.nat(255))), { minLength: 8, maxLength: 8 })
  .map((groups) => Uint8Array.from(groups.flat()));

/** Text that is almost an address: pieces of addresses in any order. */
const almost = fc
  .array(
    fc.oneof(
      fc.constantFrom(":", "::", ".", "0", "00", "01", "1", "255", "256", "ffff", "g", "-1", " "),
      fc.nat(300).map(String),
      fc.nat(0x1_ffff).map((group) => group.toString(16)),
      fc.tuple(fc.nat(256), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join(".")),
    ),
    { maxLength: 9 },
  )
  .chain((parts) => fc.constantFrom(parts.join(""), parts.join(":"), parts.join(".")));

test("IPv4 bytes are the same after they were written and read back", () => {
  fc.assert(
    fc.property(ipv4Bytes, (bytes) => {
      const text = formatLiteral(bytes);
      expect(isIPv4(text)).toBe(true);
      expect(parseLiteral(text)).toEqual({ bytes, zone: "" });
    }),
    runs,
  );
});

test("IPv6 bytes are the same after they were written and read back, with a zone and without", () => {
  fc.assert(
    fc.property(ipv6Bytes, fc.constantFrom("", "lo", "eth0", "7", "br-lan.100"), (bytes, zone) => {
      const text = formatLiteral(bytes);
      expect(isIPv6(text)).toBe(true);
      expect(parseLiteral(zone === "" ? text : `${text}%${zone}`)).toEqual({ bytes, zone });
    }),
    runs,
  );
});

test("IPv6 is written as RFC 5952 requires: in lower case, without the longest run of zeros", () => {
  fc.assert(
    fc.property(ipv6Bytes, (bytes) => {
      fc.pre(!isMapped(bytes));
      expect(`[${formatLiteral(bytes)}]`).toBe(whatwg(bytes));
    }),
    runs,
  );
});

test("a text is an address if node:net says so", () => {
  fc.assert(
    fc.property(almost, (text) => {
      const { bytes } = parseLiteral(text) ?? { bytes: [] };
      expect(bytes.length === 4 ? 4 : bytes.length === 16 ? 6 : 0).toBe(isIP(text));
    }),
    runs,
  );
});

test("a valid address with one changed character is an address if node:net says so", () => {
  const valid = fc.oneof(ipv4Bytes, ipv6Bytes).map((bytes) => formatLiteral(bytes));
  fc.assert(
    fc.property(
      valid,
      fc.nat(45),
      fc.constantFrom("", ":", ".", "0", "f", "::", " ", "\n", "\0"),
      (text, at, by) => {
        const changed = text.slice(0, at) + by + text.slice(at + 1);
        const { bytes } = parseLiteral(changed) ?? { bytes: [] };
        expect(bytes.length === 4 ? 4 : bytes.length === 16 ? 6 : 0).toBe(isIP(changed));
      },
    ),
    runs,
  );
});

test("the examples of the RFCs are read and written as the RFCs say", () => {
  const written = (text: string): string | undefined => {
    const literal = parseLiteral(text);
    return literal && formatLiteral(literal.bytes);
  };
  expect(written("2001:0DB8:0:0:1:0:0:1")).toBe("2001:db8::1:0:0:1");
  expect(written("2001:db8:0:1:1:1:1:1")).toBe("2001:db8:0:1:1:1:1:1");
  expect(written("::FFFF:c000:0201")).toBe("::ffff:192.0.2.1");
  expect(written("::ffff:0:0")).toBe("::ffff:0.0.0.0");
  expect(written("::13.1.68.3")).toBe("::d01:4403");
  expect(written("0:0:0:0:0:0:0:0")).toBe("::");
  expect(written("1::")).toBe("1::");
  expect(written("FE80::1")).toBe("fe80::1");
  for (const text of [
    "",
    "1.2.3",
    "01.2.3.4",
    "1.2.3.4.",
    "0x7f.0.0.1",
    "2130706433",
    "1::2::3",
    ":1",
    "1:2:3:4:5:6:7:8:9",
  ]) {
    expect(written(text), text).toBeUndefined();
  }
});

test("a zone needs a name, without white space, slash or another percent sign", () => {
  expect(parseLiteral("fe80::1%eth0")?.zone).toBe("eth0");
  for (const text of [
    "fe80::1%",
    "fe80::1%a b",
    "fe80::1%a/b",
    "fe80::1%a%b",
    "fe80::1%0123456789abcdef",
    "1.2.3.4%lo",
  ]) {
    expect(parseLiteral(text), text).toBeUndefined();
  }
});

test("isMulticast is 224.0.0.0/4 and ff00::/8", () => {
  const multicast = (text: string): boolean => isMulticast(parseLiteral(text)?.bytes ?? Uint8Array.of());
  const [yes, no] = [
    ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    ["223.255.255.255", "240.0.0.0", "255.255.255.255", "127.0.0.1", "fe80::1", "::1", "::ffff:224.0.0.1"],
  ];
  expect(yes?.filter(multicast)).toEqual(yes);
  expect(no?.filter(multicast)).toEqual([]);
});

test("isMapped is true for ::ffff:0:0/96 only", () => {
  const mapped = (text: string): boolean => isMapped(parseLiteral(text)?.bytes ?? Uint8Array.of());
  const texts = [
    "::ffff:1.2.3.4",
    "::ffff:0:0",
    "::1.2.3.4",
    "::fffe:1.2.3.4",
    "1::ffff:1.2.3.4",
    "1.2.3.4",
    "::",
  ];
  expect(texts.filter(mapped)).toEqual(["::ffff:1.2.3.4", "::ffff:0:0"]);
});

/** The address in the form of the URL standard, which differs from RFC 5952 in the dotted form only. */
function whatwg(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, at) =>
    ((bytes[2 * at] ?? 0) * 256 + (bytes[2 * at + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(":")}]`).hostname;
}
