/**
 * The demonstration: cameras and a sensor on a simulated network with a lossy link, whose time passes as fast as the real one. It is a
 * thread of its own, because a run of the network replaces the timers of its whole thread. `cameras.ts` has the programs of the hosts,
 * `scenes.ts` the pictures, and `mosaic-jpeg.ts` encodes them. `demo-source.ts` starts this thread and shows it to the model.
 */

import { parentPort } from "node:worker_threads";

import { Address, type Socket } from "../../index.js";
import { Network } from "../../sim/index.js";
import { bursts, messagePictures, pause, rtpPictures, sensor, wholePictures } from "./cameras.js";
import type { FromDemo, SeenDatagram, Sent, ToDemo } from "./messages.js";
import { ballScene, lightScene, wavesScene } from "./scenes.js";

/** Milliseconds of virtual time between two looks at the real clock. */
const stepMs = 20;
/** Virtual time of the whole run: 31 days, the longest possible. */
const limitMs = 31 * 24 * 3_600_000;
/** The address that everything is sent to. */
const desk = new Address("10.0.0.1", 9000);

// The functions before a run replaces them.
const realTimeout = globalThis.setTimeout;
const realNow = performance.now.bind(performance);
const realWallMs = Date.now();

const network = new Network({ seed: 7, trace: { packets: 0, bytes: 0 } });
const link = { latencyMs: 3, jitterMs: 6, lossRatio: 0.02, lossBurstLength: 2 };
const receiver = network.host("desk", { address: desk.host });
const access = network.switch("access");
network.link(access, receiver, { latencyMs: 0.1 });
const deviceOf = (name: string, address: string): Socket => {
  const host = network.host(name, { address });
  network.link(host, access, link);
  return host.socket();
};

await network.run(program, { limitMs, realLimitMs: limitMs });

async function program(): Promise<void> {
  const s = receiver.socket(undefined, undefined, { receiveBuffer: 65_536 });
  await s.bind(desk);
  let seen: SeenDatagram[] = [];
  s.tap(({ direction, data, source, destination }) => {
    // The virtual clock began with this thread.
    const atMs = realWallMs + s.clock.now();
    const addresses = { source: String(source), destination: String(destination) };
    seen.push({ direction, data, ...addresses, lostBefore: 0, atMs });
  });
  let unreachable: FromDemo["unreachable"] = [];
  s.on("unreachable", ({ destination, code, kind, from }) => {
    unreachable = [...unreachable, { destination: destination && String(destination), code, kind, from }];
  });
  void readSlowly(s);
  void wholePictures(deviceOf("camera-door", "10.0.0.21"), desk, ballScene);
  void rtpPictures(deviceOf("camera-garden", "10.0.0.22"), desk, wavesScene);
  void messagePictures(deviceOf("camera-tower", "10.0.0.23"), desk, lightScene);
  void sensor(deviceOf("greenhouse", "10.0.0.31"), desk);
  void bursts(deviceOf("burst", "10.0.0.41"), desk);
  parentPort?.on("message", ({ id, data, to }: ToDemo) => {
    const post = (bytes: number, error: string | undefined): void => {
      const message: Sent = { sent: { id, bytes, error } };
      parentPort?.postMessage(message);
    };
    s.sendto(data, Address.parse(to)).then(
      (bytes) => post(bytes, undefined),
      (error: unknown) => post(0, (error as Error).message),
    );
  });
  const startMs = realNow() - s.clock.now();
  for (;;) {
    await pause(s.clock, stepMs);
    const aheadMs = startMs + s.clock.now() - realNow();
    if (aheadMs > 1) await network.real(new Promise((resolve) => realTimeout(resolve, aheadMs)));
    const { droppedKernel = 0 } = s.stats();
    const message: FromDemo = { seen, droppedKernel, unreachable };
    parentPort?.postMessage(message);
    seen = [];
    unreachable = [];
  }
}

/** Reads a few datagrams at a time, so that the bursts find a full buffer. */
async function readSlowly(s: Socket): Promise<void> {
  for (;;) {
    await s.recvMany(16);
    await pause(s.clock, 1);
  }
}
