import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { AF_INET, SOCK_DGRAM, socket } from "datagram";
import {
  type CodecLoss,
  type LostMessage,
  gelf,
  jpegSlices,
  messages,
  rtpJpeg,
  shortEnds,
} from "datagram/message";

const codecs = { "jpeg-slices": jpegSlices, "rtp-jpeg": rtpJpeg, "short-ends": shortEnds, gelf };
const [port = "9000", folder = "pictures", format = "frames"] = process.argv.slice(2);
if (format !== "frames" && !Object.keys(codecs).includes(format))
  throw new Error(`no format is called ${format}: frames, ${Object.keys(codecs).join(", ")}`);
const s = socket(AF_INET, SOCK_DGRAM);
await s.bind(["0.0.0.0", Number(port)]);
await mkdir(folder, { recursive: true });
// `frames` are those of micropython/datagram.py. The others are what devices send by themselves.
const tell = ({ source, cause }: CodecLoss | LostMessage): void =>
  console.log(`lost a picture of ${source}: ${cause}`);
const incoming =
  format === "frames"
    ? messages(s).on("lost", tell)
    : messages(s, { codec: codecs[format as keyof typeof codecs]() }).on("lost", tell);
console.log("waiting for pictures on", String(s.getsockname()));

let number = 0;
for await (const { data, source, chunks } of incoming) {
  const name = `${String(++number).padStart(6, "0")}.jpg`;
  await writeFile(join(folder, name), data, { flag: "wx" }); // a file that is there is not replaced
  console.log(`${name} from ${source}: ${data.length} bytes in ${chunks} datagrams`);
}
