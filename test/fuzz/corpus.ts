/**
 * Writes the corpus: datagrams that real encoders sent. `node build/test/fuzz/corpus.js`, with ffmpeg and Python 3. Its random
 * numbers come from seeds, so the frames are the same each time; the pictures depend on the version of ffmpeg.
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

import { type Message, type Messages, messages } from "datagram/message";
import { Network } from "datagram/sim";

import { captureVideo, slicesOf, videoFiles, capturePython } from "../message/codecs/tools.js";
import { Reporting, sent } from "./reporting.js";
import { type Step, formatSteps } from "./steps.js";
import { corpusFolder } from "./targets.js";

/** Sends messages in each mode over a bad link, and returns the frames of each direction. */
async function frames(seed: number, lossRatio: number): Promise<{ out: Step[]; back: Step[] }> {
  const network = new Network({ seed });
  const camera = network.host("camera", { address: "10.0.0.1" });
  const desk = network.host("desk", { address: "10.0.0.2" });
  network.link(camera, desk, { latencyMs: 5, lossRatio, reorderRatio: 0.1, duplicateRatio: 0.1 });
  const out: Step[] = [];
  const back: Step[] = [];
  await network.run(async () => {
    const [from, to] = [camera.socket(), desk.socket()];
    await to.bind(["10.0.0.2", 9000]);
    let lastMs = to.clock.now();
    to.tap(({ direction, data }) => {
      const nowMs = to.clock.now();
      const step = { source: 2, waitMs: Math.min(999, Math.round(nowMs - lastMs)), data };
      lastMs = nowMs;
      (direction === "in" ? out : back).push(step);
    });
    const [m, n] = [messages(from, { chunkBytes: 64 }), messages(to, { chunkBytes: 64 })];
    n.serve(({ data }: Message) => Buffer.concat([data, data, data]));
    await exchange(m);
    await Promise.all([m.close(), n.close()]);
  });
  return { out, back };
}

async function exchange(m: Messages): Promise<void> {
  const to = ["10.0.0.2", 9000] as const;
  const bytes = (length: number): Buffer => Buffer.alloc(length, "a message");
  await m.send("", to);
  await m.send("short", to, { channel: 3 });
  await m.send(bytes(700), to, { parity: 3 });
  await Promise.all([1, 2, 3].map((n) => m.send(bytes(100 * n), to, { mode: "ordered", channel: 1 })));
  await m.send(bytes(600), to, { mode: "fleeting", parity: 2, deadlineMs: 200 });
  await m.request(bytes(150), to);
}

/** Reports about the messages that the target `sender` sends, as the library's own receiver writes them. */
async function reports(seed: number): Promise<Step[]> {
  const { datagrams, clock } = new Reporting();
  const network = new Network({ seed });
  const camera = network.host("camera", { address: "10.0.0.1" });
  const desk = network.host("desk", { address: "10.0.0.2" });
  network.link(camera, desk, { latencyMs: 2, lossRatio: 0.2 });
  clock.advance(3000);
  const steps: Step[] = [];
  await network.run(async () => {
    const [from, to] = [camera.socket(), desk.socket()];
    await to.bind(["10.0.0.2", 9000]);
    const n = messages(to);
    to.tap(({ direction, data }) => {
      if (direction === "out") steps.push({ source: 2, waitMs: steps.length % 5, data });
    });
    for (const datagram of datagrams) {
      await from.sendto(datagram, ["10.0.0.2", 9000]);
      await new Promise((done) => setTimeout(done, 1));
    }
    await new Promise((done) => setTimeout(done, 100));
    await n.close();
  });
  return steps;
}

const gelfScript = `
import json, socket, struct, sys, zlib
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def send(data): s.sendto(data, ("127.0.0.1", int(sys.argv[1])))
record = json.dumps({"version": "1.1", "host": "desk", "short_message": "a log message " * 40}).encode()
for number, data in enumerate([record, zlib.compress(record)]):
    send(data)
    parts = [data[at : at + 90] for at in range(0, len(data), 90)]
    for index, part in enumerate(parts):
        send(b"\\x1e\\x0f" + struct.pack(">QBB", number, index, len(parts)) + part)
`;

/** Gives datagrams of one device a source and times. */
function stepsOf(datagrams: readonly Uint8Array[]): Step[] {
  return datagrams.map((data) => ({ source: 0, waitMs: 1, data }));
}

function write(target: string, name: string, made: string, steps: readonly Step[]): void {
  mkdirSync(corpusFolder(target), { recursive: true });
  writeFileSync(`${corpusFolder(target)}/${name}.txt`, `# ${made}\n${formatSteps(steps)}`);
}

/** Few small pictures, so that the corpus stays small. */
const picture = ["-vf", "scale=64:48", "-c:v", "mjpeg"];

const file = new URL("../../../docs/wire-vectors.json", import.meta.url);
const { vectors } = JSON.parse(readFileSync(file, "utf8")) as { vectors: { hex: string }[] };
const vectorSteps = stepsOf(vectors.map(({ hex }) => Buffer.from(hex, "hex")));
write("frames", "vectors", "docs/wire-vectors.json", vectorSteps);
write("receiver", "vectors", "docs/wire-vectors.json", vectorSteps);
for (const [seed, lossRatio] of [0, 0.2].entries()) {
  const made = `messages() in each mode, loss ${lossRatio * 100}%`;
  const { out, back } = await frames(seed + 1, lossRatio);
  write("receiver", `loss-${lossRatio * 100}`, made, out);
  write("frames", `loss-${lossRatio * 100}`, made, [...out.slice(0, 40), ...back.slice(0, 40)]);
}
for (const seed of [1, 2]) {
  write("sender", `reports-${seed}`, `${sent.length} messages, loss 20%, seed ${seed}`, await reports(seed));
}
const url = "rtp://127.0.0.1:PORT?pkt_size=400";
const rtp = await captureVideo(
  3,
  ...picture,
  "-huffman",
  "default",
  "-pix_fmt",
  "yuvj420p",
  "-f",
  "rtp",
  url,
);
write("rtp-jpeg", "ffmpeg", "ffmpeg", stepsOf(rtp));
const pictures = await videoFiles(3, ...picture);
write("jpeg-slices", "pictures", "ffmpeg", stepsOf(pictures.flatMap((each) => slicesOf(each, 400))));
const withLengths = pictures.flatMap((each) => {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(each.length);
  return slicesOf(Buffer.concat([length, each]), 400);
});
write("jpeg-lengths", "pictures", "ffmpeg", stepsOf(withLengths));
write(
  "short-ends",
  "pictures",
  "ffmpeg, each picture after 00 00 00 01",
  stepsOf(pictures.flatMap((each) => slicesOf(Buffer.concat([Buffer.of(0, 0, 0, 1), each]), 300))),
);
write("gelf", "python", "Python's json, struct and zlib", stepsOf(await capturePython(gelfScript, "PORT")));
