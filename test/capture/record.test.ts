/** `record` writes files that `read` and tshark read with the same datagrams. */

import { Buffer } from "node:buffer";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import fc from "fast-check";
import { type TestContext, expect, test } from "vitest";

import { AF_INET6, type Socket, socket } from "datagram";
import { type RecordOptions, read, record } from "datagram/capture";
import { Network } from "datagram/sim";
import { byRead, byTshark, datagramsOf, folderOf, need, run } from "./files.js";

/** A bound socket, which is closed after the test. */
async function bound(t: TestContext, host = "127.0.0.1"): Promise<Socket> {
  const s = socket(host.includes(":") ? AF_INET6 : undefined);
  t.onTestFinished(() => s.close());
  await s.bind([host, 0]);
  return s;
}

test("a recording has the sent and the received datagrams with their addresses, and right checksums", async (t) => {
  need(t, "tshark");
  const file = join(folderOf(t), "all.pcapng");
  const expected: string[] = [];
  const pairs = await Promise.all(
    ["127.0.0.1", "::1", "::ffff:127.0.0.1"].map(
      async (host) => [await bound(t, host), await bound(t, host)] as const,
    ),
  );
  const recording = record(pairs.flat(), file);
  for (const [one, other] of pairs) {
    const [from, to] = [one, other].map((s) =>
      s.getsockname().toString().replace("::ffff:127.0.0.1", "127.0.0.1"),
    );
    for (const length of [0, 1, 2, 3, 4, 5, 1472, 9000, 65_000]) {
      const data = Buffer.alloc(length, `${length} bytes `);
      await one.sendto(data, other.getsockname());
      await other.recvfrom(65_536);
      for (const direction of ["out", "in"])
        expected.push(`${direction} ${plain(from)} > ${plain(to)} ${data.toString("latin1")}`);
    }
  }
  const stats = await recording.close();
  expect(stats).toMatchObject({ datagrams: expected.length, missed: 0, ended: "closed", error: undefined });
  expect(readFileSync(file).length).toBe(stats.fileBytes);
  const found = await datagramsOf(file);
  expect(
    found.map(
      ({ direction, source, destination, data }) =>
        `${direction} ${source} > ${destination} ${data.toString("latin1")}`,
    ),
  ).toEqual(expected);
  expect(await byRead(file)).toEqual(byTshark(file));
  const check = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"];
  const wrong = "ip.checksum.status == Bad || udp.checksum.status != Good || _ws.malformed";
  expect(run("tshark", "-n", "-r", file, ...check, "-Y", wrong)).toBe("");
});

/** `[::ffff:127.0.0.1]:9` is `127.0.0.1:9` in a file. */
function plain(address = ""): string {
  return address.replace(/^\[(127\.0\.0\.1)\]/, "$1");
}

test("the recording ends by itself when its last socket is closed", async (t) => {
  const file = join(folderOf(t), "closed.pcapng");
  const [one, other] = [await bound(t), await bound(t)];
  const recording = record([one, other], file);
  await one.sendto("sent", other.getsockname());
  await one.close();
  expect(recording.stats().ended).toBeUndefined();
  await other.recvfrom(10);
  await other.close();
  expect(await recording.finished).toMatchObject({ datagrams: 2, ended: "sockets" });
  expect((await datagramsOf(file)).length).toBe(2);
  expect((await recording.close()).datagrams).toBe(2);
});

test("a file that exists is refused, and stays as it is, unless it may be replaced", async (t) => {
  const file = join(folderOf(t), "there.pcapng");
  writeFileSync(file, "mine");
  const s = await bound(t);
  expect(() => record(s, file)).toThrow(expect.objectContaining({ name: "OSError", code: "EEXIST" }));
  expect(readFileSync(file, "latin1")).toBe("mine");
  await record(s, file, { overwrite: true }).close();
  expect((await datagramsOf(file)).length).toBe(0);
  expect(() => record(s, join(file, "below.pcapng"))).toThrow(expect.objectContaining({ code: "ENOTDIR" }));
  const missing = join(folderOf(t), "missing", "x.pcapng");
  expect(() => record(s, missing)).toThrow(expect.objectContaining({ code: "ENOENT" }));
});

test("wrong arguments are refused", async (t) => {
  const s = await bound(t);
  const file = join(folderOf(t), "x.pcapng");
  const wrong: readonly (readonly [unknown, unknown, unknown, string])[] = [
    [{}, file, {}, "TypeError"],
    [[], file, {}, "TypeError"],
    [s, true, {}, "TypeError"],
    [s, -1, {}, "RangeError"],
    [s, 1, { rotateMs: 1000 }, "RangeError"],
    [s, file, null, "TypeError"],
    [s, file, { rotate: 1 }, "RangeError"],
    [s, file, { rotateBytes: 10 }, "RangeError"],
    [s, file, { rotateMs: 10 }, "RangeError"],
    [s, file, { limitBytes: "1" }, "TypeError"],
    [s, file, { maxFiles: 2 }, "RangeError"],
    [s, file, { overwrite: 1 }, "TypeError"],
    [s, file, { onError: 1 }, "TypeError"],
  ];
  for (const [from, to, options, name] of wrong)
    expect(() => record(from as Socket, to as string, options as RecordOptions)).toThrow(
      expect.objectContaining({ name }),
    );
  const closed = socket();
  await closed.close();
  expect(() => record([s, closed], file)).toThrow(expect.objectContaining({ code: "EBADF" }));
  expect(() => record(s, 0x7fff_ffff)).toThrow(expect.objectContaining({ name: "OSError", code: "EBADF" }));
  expect(existsSync(file)).toBe(false);
});

test("each file of several is complete, no longer than its limit, and they are named by number and time", async (t) => {
  const folder = folderOf(t);
  const s = await bound(t);
  const rotateBytes = 65_536;
  const recording = record(s, join(folder, "day.pcapng"), { rotateBytes });
  const to = s.getsockname();
  const count = 500;
  for (let index = 0; index < count; index += 50)
    await s.sendMany(
      Array.from({ length: 50 }, (_, each) => Buffer.alloc(600, `${index + each} `)),
      to,
    );
  const { files, datagrams } = await recording.close();
  expect(datagrams).toBe(count);
  const names = readdirSync(folder).sort();
  expect(names.length).toBe(files);
  expect(files).toBeGreaterThan(4);
  const texts: string[] = [];
  for (const [index, name] of names.entries()) {
    expect(name).toMatch(new RegExp(`^day_0000${index + 1}_20\\d{12}\\.pcapng$`));
    const bytes = readFileSync(join(folder, name));
    expect(bytes.length).toBeLessThanOrEqual(rotateBytes);
    for (const { data } of await datagramsOf(bytes)) texts.push(data.toString().split(" ")[0] ?? "");
  }
  expect(texts).toEqual(Array.from({ length: count }, (_, index) => `${index}`));
});

test("only the newest files are kept, if their number is limited", async (t) => {
  const folder = folderOf(t);
  const s = await bound(t);
  const recording = record(s, join(folder, "day.pcapng"), { rotateBytes: 65_536, maxFiles: 2 });
  for (let index = 0; index < 10; index++)
    await s.sendMany(new Array<Buffer>(10).fill(Buffer.alloc(3000)), s.getsockname());
  const { files } = await recording.close();
  expect(files).toBeGreaterThan(3);
  expect(
    readdirSync(folder)
      .map((name) => Number(name.split("_")[1]))
      .sort(),
  ).toEqual([files - 1, files]);
});

test("the limit of bytes ends the recording, and the file is complete", async (t) => {
  const file = join(folderOf(t), "limited.pcapng");
  const s = await bound(t);
  const recording = record(s, file, { limitBytes: 65_536 });
  await s.sendMany(new Array<Buffer>(100).fill(Buffer.alloc(1000)), s.getsockname());
  const stats = await recording.finished;
  expect(stats.ended).toBe("limit");
  expect(stats.missed).toBe(0);
  expect(stats.fileBytes).toBeLessThanOrEqual(65_536);
  const reading = read(file);
  let datagrams = 0;
  for await (const { data } of reading) datagrams += data.length === 1000 ? 1 : 0;
  expect(datagrams).toBe(stats.datagrams);
  expect(datagrams).toBeGreaterThan(50);
});

test("no file is longer than the limit, however many sockets have notes for its end", async (t) => {
  const folder = folderOf(t);
  let run = 0;
  const runs = fc.array(
    fc.record({ to: fc.nat(79), sizes: fc.array(fc.integer({ min: 2, max: 1400 }), { maxLength: 9 }) }),
    { minLength: 200, maxLength: 200 },
  );
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 80 }), runs, async (count, sends) => {
      const file = join(folder, `limited${++run}.pcapng`);
      const network = new Network({ seed: run });
      const host = network.host("host", { address: "10.0.0.1" });
      await network.run(async () => {
        const sockets = await Promise.all(
          Array.from({ length: count }, async (_, index) => {
            const s = host.socket();
            await s.bind(["10.0.0.1", 9000 + index]);
            return s;
          }),
        );
        const sender = host.socket();
        const limitBytes = 65_536;
        const recording = record(sockets, file, { limitBytes });
        for (const { to, sizes } of sends) {
          const receiver = sockets[to % count]!;
          const payloads = sizes.map((bytes) => Buffer.alloc(bytes));
          await sender.sendMany(payloads, receiver.getsockname());
          // Each cut datagram leaves a note that waits for the next packet of its socket.
          for (const _ of sizes) await receiver.recvfrom(1);
        }
        const stats = await recording.close();
        expect(stats.fileBytes).toBeLessThanOrEqual(limitBytes);
        expect(stats.fileBytes).toBe(readFileSync(file).length);
        expect((await datagramsOf(file)).length).toBe(stats.datagrams);
        expect(stats.datagrams).toBeGreaterThan(0);
      });
    }),
    { numRuns: 20 },
  );
});

test("every datagram of a simulated socket comes back as it was, with its virtual time, however it is sent", async (t) => {
  const folder = folderOf(t);
  let run = 0;
  const batches = fc.array(
    fc.record({
      from: fc.nat(2),
      to: fc.nat(2),
      payloads: fc.array(fc.uint8Array({ maxLength: 3000 }), { minLength: 1, maxLength: 20 }),
    }),
    { maxLength: 12 },
  );
  await fc.assert(
    fc.asyncProperty(batches, fc.boolean(), async (sends, rotates) => {
      const name = `run${++run}`;
      const network = new Network({ seed: run });
      const lan = network.switch("lan");
      const hosts = ["10.0.0.1", "10.0.0.2", "fd00::3"].map((address, index) => {
        const host = network.host(`host${index}`, { address });
        network.link(host, lan);
        return { host, address };
      });
      const expected: string[] = [];
      await network.run(async () => {
        const sockets = await Promise.all(
          hosts.map(async ({ host, address }) => {
            const s = host.socket(address.includes(":") ? AF_INET6 : undefined);
            await s.bind([address, 9000]);
            return s;
          }),
        );
        const recording = record(
          sockets,
          join(folder, `${name}.pcapng`),
          rotates ? { rotateBytes: 65_536 } : {},
        );
        for (const { from, to, payloads } of sends) {
          const [sender, receiver] = [sockets[from]!, sockets[to]!];
          if (sender.family !== receiver.family) continue;
          await sender.sendMany(payloads, receiver.getsockname());
          const received = [];
          while (received.length < payloads.length) received.push(...(await receiver.recvMany(20)));
          const [source, destination] = [sender, receiver].map((s) => String(s.getsockname()));
          for (const payload of payloads) expected.push(`out ${source} ${destination} ${hex(payload)}`);
          for (const { data, timestamp } of received)
            expected.push(`in ${source} ${destination} ${hex(data)} ${timestamp}`);
        }
        await recording.close();
      });
      const found: string[] = [];
      for (const file of readdirSync(folder)
        .filter((each) => each.startsWith(`${name}.`) || each.startsWith(`${name}_`))
        .sort())
        for (const { direction, source, destination, data, timestamp } of await datagramsOf(
          join(folder, file),
        ))
          found.push(
            `${direction} ${source} ${destination} ${hex(data)}${direction === "in" ? ` ${timestamp}` : ""}`,
          );
      expect(found).toEqual(expected);
    }),
    { numRuns: 30 },
  );
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
