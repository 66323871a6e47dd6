import { writeFile } from "node:fs/promises";
import { AF_INET, SOCK_DGRAM, socket } from "datagram";

const s = socket(AF_INET, SOCK_DGRAM);
await s.bind(["0.0.0.0", Number(process.argv[2] ?? 9000)]);
console.log("waiting for pictures on", String(s.getsockname()));

let current = -1;
const parts = new Map<number, Buffer>();
for await (const { data } of s) {
  if (data.length < 8 || data.length > 8 + 1400) continue; // not a part of a picture
  const [picture, part, count] = [data.readUInt32BE(0), data.readUInt16BE(4), data.readUInt16BE(6)];
  if (part >= count) continue;
  if (picture !== current) parts.clear(); // a picture that lacks a part is skipped
  current = picture;
  parts.set(part, data.subarray(8));
  if (parts.size !== count) continue;
  const inOrder = [...parts].sort(([a], [b]) => a - b).map(([, bytes]) => bytes);
  await writeFile("picture.jpg", inOrder);
  console.log(`picture ${picture}: ${count} datagrams`);
  parts.clear();
}
