import { inspect } from "node:util";

import { type Datagram, socket } from "datagram";
import { expect, test } from "vitest";

/** Two bytes on loopback, or the first of them. */
async function received(bufsize?: number): Promise<Datagram> {
  await using s = socket();
  await s.bind(["127.0.0.1", 0]);
  await s.sendto("hi", s.getsockname());
  return await s.recvmsg(bufsize === undefined ? undefined : { bufsize });
}

test("a datagram as text is its size and its source, and never its payload", async () => {
  const datagram = await received();
  expect(String(datagram)).toBe(`2 bytes from ${datagram.source}`);
  const cut = await received(1);
  expect(String(cut)).toBe(`1 of 2 bytes from ${cut.source}`);
});

test("console.log of a datagram shows its fields, and what the system reported", async () => {
  const datagram = await received();
  const { source, destination, ttl } = datagram;
  const text = inspect(datagram);
  expect(text).toMatch(
    /^Datagram \{\n {2}data: <Buffer 68 69>,\n {2}source: '127\.0\.0\.1:\d+',\n {2}size: 2/,
  );
  expect(text.includes(`destination: '${destination}'`)).toBe(destination !== undefined);
  expect(text.includes(`ttl: ${ttl}`)).toBe(ttl !== undefined);
  expect(text).not.toContain("truncated");
  expect(inspect({ datagram })).toContain(`source: '${source}'`);
  expect(inspect(await received(1))).toContain("truncated: true");
  expect(inspect(new Proxy(datagram, {}))).toContain("size: 2");
});

test("the depth of console.log counts from the outermost value, also in a datagram", async () => {
  const datagram = Object.assign(await received(), { note: { of: { two: {} } } });
  expect(inspect({ list: [datagram] }, { depth: 1 })).toBe("{ list: [ [Datagram] ] }");
  expect(inspect([datagram], { depth: 0, colors: true })).toBe("[ \u001b[36m[Datagram]\u001b[39m ]");
  expect(inspect(datagram, { depth: 0 })).toMatch(/ size: 2,[^]*note: \[Object\]/);
  expect(inspect([datagram], { depth: 2 })).toContain("note: { of: [Object] }");
  expect(inspect([[[[datagram]]]], { depth: null })).toContain("note: { of: { two: {} } }");
});
