/**
 * Sends and receives with the native driver, and checks each result. Prints one line for each step; exits with 1 if a step
 * failed. `npm run test:prebuilds` runs it on emulated CPUs.
 *
 *   node scripts/platforms/smoke.mjs [<step> ...]   leaves these steps out
 */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import * as zlib from "node:zlib";

process.env.DATAGRAM_DRIVER = "native";
const { AF_INET, AF_INET6, SOCK_DGRAM, socket } = await import("../../dist/index.js");
const addon = createRequire(import.meta.url)(
  `../../prebuilds/${process.platform}-${process.arch}/datagram.node`,
);

/** CPUs for which the addon computes a CRC-32 by instructions. On others it has none, and the package calls zlib. */
const crcCpus = ["x64", "arm64"];
const waiting = { timeoutMs: 20_000 };
const left = new Set(process.argv.slice(2));
const steps = {
  async "IPv4, whole and truncated datagrams"() {
    const { receiver, sender, to } = await pair(AF_INET, "127.0.0.1");
    assert.equal(await sender.sendto("0123456789", to), 10);
    const [data, source] = await receiver.recvfrom(64, waiting);
    assert.deepEqual([data.toString(), source.port], ["0123456789", sender.getsockname().port]);
    await sender.sendto("0123456789", to);
    const cut = await receiver.recvmsg({ ...waiting, bufsize: 4 });
    assert.deepEqual([cut.data.toString(), cut.size, cut.truncated], ["0123", 10, true]);
    await sender.sendto("", to);
    assert.equal((await receiver.recvmsg(waiting)).size, 0);
  },

  async IPv6() {
    const { receiver, sender, to } = await pair(AF_INET6, "::1");
    await sender.sendto("six", to);
    const { data, source } = await receiver.recvmsg(waiting);
    assert.deepEqual([data.toString(), source.host], ["six", "::1"]);
  },

  async "a datagram of the largest size"() {
    const { receiver, sender, to } = await pair(AF_INET, "127.0.0.1");
    const payload = Buffer.alloc(65_507, "x");
    await sender.sendto(payload, to);
    assert.ok((await receiver.recvmsg(waiting)).data.equals(payload));
  },

  async metadata() {
    const { receiver, sender, to } = await pair(AF_INET, "127.0.0.1");
    const before = Date.now();
    await sender.sendto("x", to);
    const { destination, interface: name, ttl, timestamp } = await receiver.recvmsg(waiting);
    assert.deepEqual([destination?.host, name, ttl], ["127.0.0.1", "lo", 64]);
    assert.ok(Math.abs(Number(timestamp / 1_000_000n) - before) < 60_000, `timestamp ${timestamp}`);
  },

  async "a reply, from the address that the request came to"() {
    const { receiver, sender, to } = await pair(AF_INET, "127.0.0.1");
    await sender.sendto("request", to);
    await (await receiver.recvmsg(waiting)).reply("answer");
    const { data, source } = await sender.recvmsg(waiting);
    assert.deepEqual([data.toString(), source.port], ["answer", to.port]);
  },

  async "sendMany of datagrams of different sizes"() {
    await exchange(Array.from({ length: 200 }, (_, index) => Buffer.alloc(1 + (index % 50), index)));
  },

  async "sendMany of equal datagrams, as segmented sends"() {
    const sender = await exchange(Array.from({ length: 200 }, (_, index) => Buffer.alloc(64, index)));
    const { systemCalls } = sender.stats();
    assert.ok(systemCalls.send < 50, `${systemCalls.send} system calls`);
  },

  async "the CRC-32 of zlib, by instructions of the CPU"() {
    const isThere = crcCpus.includes(process.arch);
    assert.deepEqual(
      [typeof addon.crc32, typeof addon.crc32OfPieces],
      Array(2).fill(isThere ? "function" : "undefined"),
    );
    if (!isThere) return;
    const bytes = pattern(70_000);
    // All lengths up to some steps of the instructions, from aligned and other addresses, and a CRC that goes on.
    for (let start = 0; start < 9; start++) {
      for (let length = 0; length <= 200; length++) {
        const part = bytes.subarray(start, start + length);
        assert.equal(addon.crc32(part, 0) >>> 0, zlib.crc32(part), `${length} bytes from ${start}`);
        assert.equal(
          addon.crc32(part, 0xfedcba98) >>> 0,
          zlib.crc32(part, 0xfedcba98),
          `${length} more bytes`,
        );
      }
    }
    const crcs = new Int32Array(Math.ceil(bytes.length / 1200));
    addon.crc32OfPieces(bytes, 1200, crcs);
    const expected = crcs.map((_, index) => zlib.crc32(bytes.subarray(index * 1200, (index + 1) * 1200)));
    assert.deepEqual(crcs, expected);
  },

  async "a message, whose CRC the receiver computes with zlib"() {
    // Here, because older releases than the package supports lack a function of zlib that it needs.
    const { messages } = await import("../../dist/message/index.js");
    const { receiver, sender, to } = await pair(AF_INET, "127.0.0.1");
    const payload = pattern(100_003);
    const inbox = messages(receiver);
    const outbox = messages(sender);
    const arrives = inbox[Symbol.asyncIterator]().next();
    const sent = outbox.send(payload, to);
    const { value } = await arrives;
    await sent;
    assert.deepEqual([value.verified, value.data.length], [true, payload.length]);
    assert.equal(zlib.crc32(value.data), zlib.crc32(payload));
    assert.deepEqual(inbox.stats().dropped, {});
  },

  async "an ICMP error of a connected socket"() {
    const closed = opened(AF_INET);
    await closed.bind(["127.0.0.1", 0]);
    const nobody = closed.getsockname();
    await closed.close();
    const sender = opened(AF_INET);
    await sender.connect(nobody);
    await sender.send("x");
    await assert.rejects(sender.recvmsg(waiting), { code: "ECONNREFUSED" });
  },

  async "an error of the kernel"() {
    const first = opened(AF_INET);
    await first.bind(["127.0.0.1", 0]);
    await assert.rejects(opened(AF_INET).bind(first.getsockname()), { code: "EADDRINUSE" });
  },
};

const sockets = [];
console.log(`Node ${process.version}, ${process.platform}-${process.arch}`);
for (const [name, step] of Object.entries(steps)) {
  if (left.delete(name)) {
    console.log(`left out  ${name}`);
    continue;
  }
  try {
    await step();
    console.log(`ok        ${name}`);
  } catch (error) {
    console.log(`failed    ${name}: ${error.message}`);
    process.exitCode = 1;
  }
  await Promise.all(sockets.splice(0).map((each) => each.close()));
}
assert.deepEqual([...left], [], "no such step");

function opened(family) {
  const made = socket(family, SOCK_DGRAM);
  assert.equal(made.driver, "native");
  sockets.push(made);
  return made;
}

async function pair(family, host) {
  const receiver = opened(family);
  const sender = opened(family);
  await receiver.bind([host, 0]);
  await sender.bind([host, 0]);
  return { receiver, sender, to: receiver.getsockname() };
}

/** Bytes that do not repeat soon, the same in each run. */
function pattern(length) {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => (index * index * 31 + (index >> 8)) & 0xff));
}

/** Sends the payloads in one call, and compares them with the datagrams that arrive. Returns the sender. */
async function exchange(payloads) {
  const { receiver, sender, to } = await pair(AF_INET, "127.0.0.1");
  assert.equal(await sender.sendMany(payloads, to), payloads.length);
  for (const payload of payloads) assert.ok((await receiver.recvmsg(waiting)).data.equals(payload));
  return sender;
}
