import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { watch } from "datagram/watch";
import { expect, test } from "vitest";

import { ipv4Header } from "../../src/wire/ipv4.js";
import { BlockWriter, LINKTYPE_RAW, captureTime } from "../../src/wire/pcapng.js";
import { udpHeader, udpProtocol } from "../../src/wire/udp.js";
import { PageClient } from "./client.js";

const startMs = 1_790_000_000_000;

/** A file with a datagram each 100 ms. */
function capture(datagrams: number): Uint8Array {
  const writer = new BlockWriter();
  writer.sectionHeader({ application: "test" });
  writer.interfaceDescription({ linkType: LINKTYPE_RAW, snapLength: 0, name: "test" });
  const [source, destination] = [Uint8Array.of(10, 0, 0, 7), Uint8Array.of(10, 0, 0, 1)];
  for (let index = 0; index < datagrams; index++) {
    const payload = Buffer.from(`datagram ${index}`);
    const udp = udpHeader({ sourcePort: 5000, destinationPort: 9000 }, source, destination, payload);
    const flags = { identification: 0, offset: 0, dontFragment: true, moreFragments: false };
    const header = { source, destination, protocol: udpProtocol, ttl: 64, tos: 0, ...flags };
    const packet = Buffer.concat([ipv4Header(header, udp.length + payload.length), udp, payload]);
    const time = captureTime(BigInt(startMs + index * 100) * 1_000_000n);
    const at = writer.beginPacket(0, time, packet.length, packet.length);
    writer.bytes.set(packet, at);
    writer.endPacket();
  }
  return writer.bytes.slice(0, writer.at);
}

test("a capture file is played, and a seek shows what had arrived until there", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "watch-test-"));
  const file = join(folder, "day.pcapng");
  writeFileSync(file, capture(600));
  const page = await watch(file);
  t.onTestFinished(async () => {
    await page.close();
    rmSync(folder, { recursive: true });
  });
  const shown = await PageClient.open(page);
  shown.send({ type: "seek", positionMs: startMs + 30_000, speed: 0 });
  const hello = await shown.next("hello");
  expect(hello).toMatchObject({
    nowMs: startMs + 30_000,
    sources: [{ kind: "recording", label: "day.pcapng", sends: false }],
    playback: { firstMs: startMs, lastMs: startMs + 59_900, positionMs: startMs + 30_000, speed: 0 },
  });
  expect(hello.playback?.overview?.reduce((sum, each) => sum + each, 0)).toBe(600);
  const { rows } = await shown.next("peers", (message) =>
    message.rows.some(({ datagrams }) => datagrams > 290),
  );
  expect(rows).toMatchObject([{ address: "10.0.0.7:5000", datagrams: 301, silent: false, gaps: 0 }]);
  shown.send({ type: "seek", positionMs: startMs + 1000, speed: 0 });
  expect(await shown.next("peers", (message) => message.rows[0]?.datagrams === 11)).toBeDefined();
  shown.send({ type: "seek", positionMs: startMs + 1000, speed: 1000 });
  await shown.next("playback", ({ positionMs, speed }) => positionMs === startMs + 59_900 && speed === 0);
  await shown.next("peers", (message) => message.rows.some(({ datagrams }) => datagrams === 600));
  shown.send({ type: "record", on: true });
  expect((await shown.next("refused")).error).toMatch(/no open socket/);
});

test("a file without datagrams, and one that is not there, are errors", async () => {
  await expect(watch("/no/such/file.pcapng")).rejects.toMatchObject({ code: "ENOENT" });
});
