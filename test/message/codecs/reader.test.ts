import {
  type CodecLoss,
  type CodecMessage,
  gelf,
  jpegSlices,
  messages,
  rtpJpeg,
  shortEnds,
} from "datagram/message";
import { type Host, type LinkSettings, Network } from "datagram/sim";
import { expect, test } from "vitest";

import { pause } from "../../sim/tools.js";
import { slicesOf, smallJpeg } from "./tools.js";

const desk = ["10.0.0.1", 9000] as const;
const slices = slicesOf(smallJpeg, 500);

/** A desk, and cameras that are connected to it by links with these settings. */
function network(
  cameras: number,
  settings: LinkSettings = {},
  seed = 1,
): { world: Network; at: Host; cameras: Host[] } {
  const world = new Network({ seed });
  const at = world.host("desk", { address: "10.0.0.1" });
  const middle = world.switch("switch");
  world.link(at, middle);
  const hosts = Array.from({ length: cameras }, (_, index) => {
    const host = world.host(`camera${index}`, { address: `10.0.1.${index + 1}` });
    world.link(host, middle, settings);
    return host;
  });
  return { world, at, cameras: hosts };
}

/** Collects messages until the socket is closed. */
function collect(pictures: AsyncIterable<CodecMessage>): { list: CodecMessage[]; end: Promise<void> } {
  const list: CodecMessage[] = [];
  const end = (async () => {
    for await (const message of pictures) list.push(message);
  })();
  return { list, end };
}

/** A picture that is different for each number, in RTP packets with its headers inside. */
function rtpPicture(number: number): { file: Buffer; packets: Buffer[] } {
  const file = Buffer.alloc(8000, number);
  file.set([0xff, 0xd8]);
  const packets = slicesOf(file, 1000).map((slice, index) => {
    const header = Buffer.alloc(20);
    header.set([0x80, index === 7 ? 0x9a : 0x1a]);
    header.writeUInt16BE((number * 8 + index) & 0xffff, 2);
    header.writeUInt32BE(number * 3000, 4);
    header.writeUInt32BE(index * 1000, 12);
    return Buffer.concat([header, slice]);
  });
  return { file, packets };
}

test.for([1, 2, 3, 4, 5])(
  "RTP of three cameras with losses, copies and changed order: whole pictures, in order, once, and losses are told (seed %i)",
  async (seed) => {
    const sick = { latencyMs: 5, lossRatio: 0.02, duplicateRatio: 0.1, reorderRatio: 0.05, reorderMs: 3 };
    const { world, at, cameras } = network(3, sick, seed);
    const count = 60;
    await world.run(async () => {
      const s = at.socket();
      await s.bind(desk);
      const pictures = messages(s, { codec: rtpJpeg() });
      const losses: CodecLoss[] = [];
      pictures.on("lost", (loss) => losses.push(loss));
      const { list, end } = collect(pictures);
      await Promise.all(
        cameras.map(async (camera) => {
          const c = camera.socket();
          for (let number = 0; number < count; number++) {
            for (const packet of rtpPicture(number).packets) {
              await c.sendto(packet, desk);
              await pause(1);
            }
          }
          await c.close();
        }),
      );
      await pause(5000);
      expect(pictures.stats()).toMatchObject({ received: list.length, sources: 3, partialBytes: 0 });
      await s.close();
      await end;
      for (const camera of cameras) {
        const pictures = list.filter(({ source }) => source.host === camera.address);
        const numbers = pictures.map(({ data }) => data[2] as number);
        expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
        for (const { data } of pictures) expect(data.equals(rtpPicture(data[2] as number).file)).toBe(true);
        const told = losses.filter(({ source, received }) => source.host === camera.address && received > 0);
        expect(pictures.length + told.length).toBe(count);
      }
      expect(list.length).toBeGreaterThan(count);
    });
  },
);

test("many sources with first parts alone take no more memory and places than the limits, and the camera is not disturbed", async () => {
  const { world, at, cameras } = network(2);
  const [camera, stranger] = cameras as [Host, Host];
  await world.run(async () => {
    const s = at.socket();
    await s.bind(desk);
    const pictures = messages(s, {
      codec: jpegSlices(),
      maxSources: 50,
      maxSourceBytes: 10_000,
      maxBytes: 20_000,
    });
    const { list, end } = collect(pictures);
    const honest = camera.socket();
    const beginning = Buffer.concat([Buffer.from("ffd8ffda0002", "hex"), Buffer.alloc(1200)]);
    for (let round = 0; round < 20; round++) {
      for (const [index, slice] of slices.entries()) {
        await honest.sendto(slice, desk);
        for (let each = 0; each < 10; each++) {
          const other = stranger.socket();
          await other.sendto(index % 2 === 0 ? beginning : (slices[0] as Buffer), desk);
          await pause(1);
          await other.close();
          const { sources, partialBytes } = pictures.stats();
          expect(sources).toBeLessThanOrEqual(50);
          expect(partialBytes).toBeLessThanOrEqual(20_000);
        }
      }
    }
    await pause(100);
    const { lost, received } = pictures.stats();
    expect(received).toBe(20);
    expect(lost.evicted).toBeGreaterThan(500);
    await s.close();
    await end;
    expect(list.every(({ data, source }) => data.equals(smallJpeg) && source.host === camera.address)).toBe(
      true,
    );
  });
});

test("a source that takes too much memory loses its own message, and its next one arrives", async () => {
  const { world, at, cameras } = network(1);
  await world.run(async () => {
    const s = at.socket();
    await s.bind(desk);
    const pictures = messages(s, { codec: shortEnds(), maxSourceBytes: 10_000 });
    const { list, end } = collect(pictures);
    const c = (cameras[0] as Host).socket();
    for (let index = 0; index < 50; index++) await c.sendto(Buffer.alloc(1460), desk);
    await c.sendto("end", desk);
    await c.sendto("next", desk);
    await pause(100);
    expect(pictures.stats().lost).toEqual({ gap: 0, idle: 0, size: 1, invalid: 0, evicted: 0 });
    await s.close();
    await end;
    expect(list.map(({ data }) => data.toString())).toEqual(["next"]);
  });
});

test("a message whose rest does not come is told as lost while the loop waits, with its source", async () => {
  const { world, at, cameras } = network(1);
  await world.run(async () => {
    const s = at.socket();
    await s.bind(desk);
    const pictures = messages(s, { codec: jpegSlices(), idleMs: 500 });
    const losses: CodecLoss[] = [];
    pictures.on("lost", (loss) => losses.push(loss));
    const { end } = collect(pictures);
    const c = (cameras[0] as Host).socket();
    await c.sendto(slices[0] as Buffer, desk);
    await pause(1100);
    expect(losses.map(({ source, ...loss }) => [source.host, loss])).toEqual([
      ["10.0.1.1", { cause: "idle", received: 1, missing: undefined }],
    ]);
    expect(pictures.stats()).toMatchObject({ sources: 1, partialBytes: 0 });
    await pause(61_000);
    expect(pictures.stats().sources).toBe(0);
    await s.close();
    await end;
  });
});

test("leaving the loop loses no message, and no other call may read while it waits", async () => {
  const { world, at, cameras } = network(1);
  await world.run(async () => {
    const s = at.socket();
    await s.bind(desk);
    const pictures = messages(s, { codec: gelf() });
    const c = (cameras[0] as Host).socket();
    for (let number = 0; number < 5; number++) await c.sendto(`{"n":${number}}`, desk);
    await pause(10);
    const seen: string[] = [];
    for await (const { data } of pictures) {
      seen.push(data.toString());
      if (seen.length === 2) break;
    }
    for await (const { data } of pictures) {
      seen.push(data.toString());
      if (seen.length === 5) break;
    }
    expect(seen).toEqual([0, 1, 2, 3, 4].map((number) => `{"n":${number}}`));
    await c.sendto("raw", desk);
    expect((await s.recv(10)).toString()).toBe("raw");
    const waiting = pictures[Symbol.asyncIterator]().next();
    await expect(s.recv(10)).rejects.toMatchObject({ code: "EBUSY" });
    await c.sendto("{}", desk);
    expect(await waiting).toMatchObject({ done: false, value: { chunks: 1 } });
    await s.close();
  });
});

test("wrong arguments are refused", () => {
  const s = network(0).at.socket();
  expect(() => messages({} as never, { codec: gelf() })).toThrow(TypeError);
  expect(() => messages(s, { codec: gelf as never })).toThrow(TypeError);
  expect(() => messages(s, { codec: gelf(), maxSources: 0 })).toThrow(RangeError);
  expect(() => messages(s, { codec: gelf(), maxSourceBytes: 100, maxBytes: 50 })).toThrow(RangeError);
  expect(() => messages(s, { codec: gelf(), idle: 5 } as never)).toThrow(/did you mean idleMs/);
});
