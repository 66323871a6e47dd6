/** One end of a transfer over loopback: `loopback-worker.js <way> receive 0 <folder>`, or `<way> send <port> <folder>`. */
import { connect, createServer } from "node:net";

import type { Socket } from "../../src/core/socket/socket.js";
import type { Checksum } from "../../src/wire/message-frame.js";

const chunkBytes = 1400;
const messageBytes = 1_000_000;
/** V8 compiles the code of both ends meanwhile. On a busy machine this and the measurement take longer. */
const warmUp = { ms: 3000, bytes: 300_000_000 } as const;
const window = { ms: 1000, bytes: 200_000_000 } as const;
const host = "127.0.0.1";

/** What the receiver tells its parent at the end. */
export interface Received {
  readonly megabytes: number;
  readonly seconds: number;
}

let bytes = 0;
let began = 0;
let isCounting = false;

/** @param folder where a package is installed that is measured too. */
const [way, role, port, folder = ""] = process.argv.slice(2);
if (role === "receive") await receive();
else await send(Number(port));

async function receive(): Promise<void> {
  if (way === "tcp") {
    const server = createServer((connection) => void connection.on("data", ({ length }) => count(length)));
    server.listen(0, host, () => process.send?.((server.address() as { port: number }).port));
    return;
  }
  if (way === "udx-native") {
    const { receiveUdx } = await import("./udx-worker.js");
    process.send?.(receiveUdx(folder, host, count));
    return;
  }
  if (way === "bound") {
    await receiveBound();
    return;
  }
  const { socket } = await import("datagram");
  const s = socket();
  await s.bind([host, 0]);
  process.send?.(s.getsockname().port);
  if (way === "messages" || way === "reuse") {
    const { messages } = await import("datagram/message");
    for await (const { data } of messages(s, { chunkBytes, reuseMemory: way === "reuse" }))
      count(data.length);
  } else {
    for await (const batch of s.batches()) for (const { data } of batch) count(data.length);
  }
}

/**
 * A socket and the CRC of its driver, which is not public: both come from the modules of `src`. No process loads both these
 * modules and those of the package: the heap would be larger, and V8 would collect all garbage much more often.
 */
async function socketWithCrc(): Promise<{ s: Socket; checksum: Checksum }> {
  const { socket: sourceSocket } = await import("../../src/index.js");
  const { engineOf } = await import("../../src/core/socket/settings.js");
  const { zlibCrc32 } = await import("../../src/message/crc32.js");
  const s = sourceSocket();
  return { s, checksum: (engineOf(s).crc32 ?? zlibCrc32).of };
}

/** As the bare socket, and each byte is copied to the memory of a message and is part of one CRC. */
async function receiveBound(): Promise<void> {
  const { s, checksum } = await socketWithCrc();
  await s.bind([host, 0]);
  process.send?.(s.getsockname().port);
  let message = Buffer.allocUnsafeSlow(messageBytes);
  let filled = 0;
  for await (const batch of s.batches()) {
    for (const { data } of batch) {
      if (filled + data.length > messageBytes) {
        checksum(message.subarray(0, filled));
        message = Buffer.allocUnsafeSlow(messageBytes);
        filled = 0;
      }
      message.set(data, filled);
      filled += data.length;
      count(data.length);
    }
  }
}

/** As `receiveBound`, for the sender: one copy of each message, and its CRC. */
async function sendBound(to: number): Promise<never> {
  const { s, checksum } = await socketWithCrc();
  const data = Buffer.alloc(512 * chunkBytes, "x");
  const copy = Buffer.allocUnsafeSlow(data.length);
  const payloads = Array.from({ length: 512 }, (_, at) =>
    copy.subarray(at * chunkBytes, (at + 1) * chunkBytes),
  );
  for (;;) {
    checksum(data);
    copy.set(data);
    await s.sendMany(payloads, [host, to]);
  }
}

async function send(to: number): Promise<void> {
  if (way === "bound") await sendBound(to);
  const data = Buffer.alloc(messageBytes, "x");
  if (way === "udx-native") {
    const { sendUdx } = await import("./udx-worker.js");
    await sendUdx(folder, host, to, data);
  }
  if (way === "tcp") {
    const connection = connect(to, host);
    for (;;) if (!connection.write(data)) await new Promise((done) => connection.once("drain", done));
  }
  const { socket } = await import("datagram");
  const s = socket();
  if (way === "messages" || way === "reuse") {
    const { messages } = await import("datagram/message");
    const m = messages(s, { chunkBytes });
    const lane = async (): Promise<never> => {
      for (;;) await m.send(data, [host, to]);
    };
    await Promise.all([lane(), lane()]);
  }
  const payloads = Array.from({ length: 512 }, () => Buffer.alloc(chunkBytes, "x"));
  for (;;) await s.sendMany(payloads, [host, to]);
}

/** Counts received bytes, and tells how many came in how long once the window is over. */
function count(length: number): void {
  const now = performance.now();
  if (began === 0) began = now;
  bytes += length;
  const { ms, bytes: enough } = isCounting ? window : warmUp;
  const elapsedMs = now - began;
  if (elapsedMs < ms || bytes < enough) return;
  if (isCounting) {
    const received: Received = { megabytes: bytes / 1e6, seconds: elapsedMs / 1000 };
    process.send?.(received);
    bytes = -Infinity;
    return;
  }
  process.send?.("begins");
  isCounting = true;
  began = now;
  bytes = 0;
}
