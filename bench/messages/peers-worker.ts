/** One end of a thousand peers over loopback: `peers-worker.js receive`, or `peers-worker.js send <port> <peers> <loss ratio>`. */
import { type Socket, socket } from "datagram";
import { messages } from "datagram/message";

const pictureBytes = 30_000;
const everyMs = 100;
/** The peers begin one after another in this time. */
const beginMs = 8000;
const warmUpMs = 12_000;
const windowMs = 5000;
const host = "127.0.0.1";

/** What the receiver tells its parent at the end. */
export interface Received {
  readonly pictures: number;
  /** Datagrams that the kernel dropped because the receive buffer was full. */
  readonly lost: number;
  readonly seconds: number;
}

const [role, ...rest] = process.argv.slice(2);
if (role === "receive") await receive();
else await send(Number(rest[0]), Number(rest[1]), Number(rest[2]));

async function receive(): Promise<void> {
  const s = socket(undefined, undefined, { receiveBuffer: 8 << 20 });
  await s.bind([host, 0]);
  process.send?.(s.getsockname().port);
  let pictures = 0;
  setTimeout(() => {
    const [began, before, lostBefore] = [performance.now(), pictures, s.stats().droppedKernel ?? 0];
    process.send?.("begins");
    setTimeout(() => {
      const received: Received = {
        pictures: pictures - before,
        lost: (s.stats().droppedKernel ?? 0) - lostBefore,
        seconds: (performance.now() - began) / 1000,
      };
      process.send?.(received);
    }, windowMs);
  }, warmUpMs);
  for await (const { data } of messages(s)) if (data.length === pictureBytes) pictures++;
}

async function send(port: number, peers: number, lossRatio: number): Promise<void> {
  const data = Buffer.alloc(pictureBytes, "x");
  const all = Array.from({ length: peers }, async (_, at) => {
    const m = messages(losing(socket(), lossRatio));
    await new Promise((done) => setTimeout(done, (at * beginMs) / peers));
    for (let due = performance.now(); ; due = Math.max(due + everyMs, performance.now())) {
      await m.send(data, [host, port]);
      const waitMs = due + everyMs - performance.now();
      if (waitMs > 0) await new Promise((done) => setTimeout(done, waitMs));
    }
  });
  await Promise.all(all);
}

/** Lets a socket lose a share of the chunks that it sends: loopback loses nothing. */
function losing(s: Socket, lossRatio: number): Socket {
  const sendMany = s.sendMany.bind(s) as (payloads: readonly Uint8Array[], to: unknown) => Promise<number>;
  return Object.assign(s, {
    sendMany: async (payloads: readonly Uint8Array[], to: unknown) => {
      const kept = payloads.filter(() => Math.random() >= lossRatio);
      return kept.length === 0 ? 0 : await sendMany(kept, to);
    },
  });
}
