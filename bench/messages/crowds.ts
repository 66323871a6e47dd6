/** What many sources do to one receiver of messages, on the simulated network: forgers, and a thousand cameras. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { type Messages, messages } from "datagram/message";
import { type Host, type LinkSettings, Network } from "datagram/sim";

import { forgedChunk } from "./forged.js";
import { pattern } from "./scenes.js";

const desk = ["10.0.0.2", 9000] as const;
/** A trace of a run of minutes would be larger than what is measured. */
const trace = { packets: 1000, bytes: 0 } as const;
const pictureBytes = 30_000;

/** What forgers achieved. */
export interface Forgeries {
  readonly forged: number;
  readonly sources: number;
  /** Forged datagrams that the receiver read. */
  readonly received: number;
  /** The largest memory of messages that were not complete, and the largest growth of the memory of the process. */
  readonly maxPartialBytes: number;
  readonly grownBytes: number;
  /** Bytes to the forgers, for each byte from them. */
  readonly amplification: number;
  /** Messages of a peer that is known, and of one that opens a new socket for each message: sent, and arrived within a second. */
  readonly known: Honest;
  readonly unknown: Honest;
}

/** The messages of an honest peer. */
export interface Honest {
  sent: number;
  arrived: number;
}

/**
 * Forged first chunks of messages of 1 MB, from so many addresses and ports, 40 a millisecond, beside two honest peers that send
 * ten pictures a second.
 */
export async function forgeries(
  seed: number,
  forged: number,
  sources: number,
  progress: (done: number) => void,
): Promise<Forgeries> {
  const network = new Network({ seed, trace });
  const hosts = Math.ceil(sources / 50_000);
  const attacker = network.host("attacker", {
    addresses: Array.from({ length: hosts }, (_, at) => `10.0.1.${at + 1}`),
  });
  const camera = network.host("camera", { address: "10.0.0.1" });
  const to = network.host("desk", { address: desk[0] });
  network.link(attacker, to, { latencyMs: 2 });
  network.link(camera, to, { latencyMs: 2 });
  return await network.run(async () => {
    const r = to.socket();
    await r.bind(desk);
    const m = messages(r);
    void drain(m);
    let [received, receivedBytes, answeredBytes] = [0, 0, 0];
    r.tap(({ direction, data, source, destination }) => {
      if (direction === "in" && source.host.startsWith("10.0.1.")) {
        received++;
        receivedBytes += data.length;
      } else if (direction === "out" && destination.host.startsWith("10.0.1.")) answeredBytes += data.length;
    });
    const before = memory();
    let [done, maxPartialBytes, grownBytes] = [0, 0, 0];
    const isOver = (): boolean => done >= forged;
    const honest = [sendPictures(camera, isOver, true), sendPictures(camera, isOver, false)];
    // So many sources send in turn, and the next ones follow: each source sends as often.
    const together = 1000;
    const rounds = Math.round(forged / sources);
    for (let first = 0; first < sources; first += together) {
      const sockets = await Promise.all(
        Array.from({ length: together }, async (_, at) => {
          const number = first + at;
          const s = attacker.socket();
          await s.bind([attacker.addresses[number % hosts] as string, 10_000 + Math.floor(number / hosts)]);
          return s;
        }),
      );
      for (let round = 0; round < rounds; round++) {
        for (const s of sockets) {
          await s.sendto(forgedChunk(done, done % 800), desk);
          maxPartialBytes = Math.max(maxPartialBytes, m.stats().partialBytes);
          if (++done % 40 === 0) await sleep(1);
        }
      }
      await Promise.all(sockets.map((s) => s.close()));
      if (first % 10_000 === 0) grownBytes = Math.max(grownBytes, memory() - before);
      progress(done);
    }
    const [known, unknown] = (await Promise.all(honest)) as [Honest, Honest];
    return {
      forged: done,
      sources,
      received,
      maxPartialBytes,
      grownBytes,
      amplification: answeredBytes / receivedBytes,
      known,
      unknown,
    };
  });
}

/** Sends ten pictures a second, and counts those that arrive within a second. */
async function sendPictures(camera: Host, isOver: () => boolean, isKnown: boolean): Promise<Honest> {
  const honest: Honest = { sent: 0, arrived: 0 };
  const known = messages(camera.socket());
  const data = pattern(pictureBytes, 1);
  const sends: Promise<void>[] = [];
  while (!isOver()) {
    const s = isKnown ? undefined : camera.socket();
    const sent = (s ? messages(s) : known).send(data, desk, { deadlineMs: 1000 });
    honest.sent++;
    sends.push(
      sent.then(
        () => {
          honest.arrived++;
        },
        () => undefined,
      ),
    );
    if (s) void sent.finally(() => void s.close()).catch(() => undefined);
    await sleep(100);
  }
  await Promise.all(sends);
  return honest;
}

/** What many cameras came to. */
export interface Crowd {
  readonly sent: number;
  readonly arrived: number;
  /** After equal parts of the time. */
  readonly points: readonly Point[];
  /** Resident bytes of the process, after equal parts of the time, which are shorter. */
  readonly rssBytes: readonly number[];
}

/** A moment of a run. */
export interface Point {
  /** Milliseconds of virtual time since its begin. */
  readonly ms: number;
  readonly sent: number;
  /** Bytes in use after the garbage was collected: heap and memory of buffers. */
  readonly usedBytes: number;
  /** Resident bytes of the process. */
  readonly rssBytes: number;
  /** Milliseconds of CPU time of the process since the run began. */
  readonly cpuMs: number;
}

/** Steps of a run after which progress is told and resident memory is read: a multiple of the number of points. */
const steps = 240;

/** Cameras that each send a picture of 30 KB every `everyMs` for `ms`, over links of their own. */
export async function crowd(
  seed: number,
  cameras: number,
  everyMs: number,
  ms: number,
  link: LinkSettings,
  points: number,
  progress: (done: number, of: number) => void,
): Promise<Crowd> {
  const network = new Network({ seed, trace });
  const to = network.host("desk", { address: desk[0] });
  const middle = network.switch("switch");
  network.link(middle, to, { latencyMs: 0.1 });
  const hosts = Array.from({ length: cameras }, (_, at) => {
    const host = network.host(`camera${at}`, {
      address: `10.0.${1 + Math.floor(at / 250)}.${1 + (at % 250)}`,
    });
    network.link(host, middle, { latencyMs: 5, ...link });
    return host;
  });
  return await network.run(
    async () => {
      const r = to.socket(undefined, undefined, { receiveBuffer: 16 << 20 });
      await r.bind(desk);
      let [sent, arrived] = [0, 0];
      void (async () => {
        for await (const { data } of messages(r)) if (data.length === pictureBytes) arrived++;
      })();
      const until = network.clock.now() + ms;
      const data = pattern(pictureBytes, seed);
      const all = hosts.map(async (host, at) => {
        const m = messages(host.socket());
        await sleep((at * everyMs) / cameras);
        const calls = new Set<Promise<unknown>>();
        while (network.clock.now() < until) {
          const call = m.send(data, desk);
          sent++;
          calls.add(call);
          void call.finally(() => {
            calls.delete(call);
          });
          await sleep(everyMs);
        }
        await Promise.all(calls);
      });
      const found: Point[] = [];
      const resident: number[] = [];
      const from = network.clock.now();
      const before = cpuMs();
      for (let step = 1; step <= steps; step++) {
        await sleep(from + (step * ms) / steps - network.clock.now());
        progress(step, steps);
        const rssBytes = process.memoryUsage.rss();
        resident.push(rssBytes);
        if (step % (steps / points) !== 0) continue;
        const usedBytes = memory();
        found.push({ ms: (step * ms) / steps, sent, usedBytes, rssBytes, cpuMs: cpuMs() - before });
      }
      await Promise.all(all);
      return { sent, arrived, points: found, rssBytes: resident };
    },
    { limitMs: 2 * ms + 60_000 },
  );
}

async function drain(m: Messages): Promise<void> {
  for await (const _ of m);
}

async function sleep(ms: number): Promise<void> {
  await new Promise((done) => setTimeout(done, ms));
}

/** Bytes of the process that are in use, after the garbage was collected. */
function memory(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Milliseconds of CPU time of the process. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
