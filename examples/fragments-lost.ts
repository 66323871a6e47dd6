import { setTimeout } from "node:timers/promises";

import { Network } from "datagram/sim";

const datagrams = Number(process.argv[2] ?? 1000);
const lossRatio = 0.01;

const network = new Network({ seed: 1, trace: { packets: 0 } });
const camera = network.host("camera", { address: "10.0.0.2" });
const desk = network.host("desk", { address: "10.0.0.1" });
network.link(camera, desk, { lossRatio, mtuBytes: 1500 });

/** The largest payload in this many fragments: each has 1480 bytes, and the UDP header takes 8 bytes of the first. */
const payloadOf = (fragments: number): number => Math.min(fragments * 1480 - 8, 65_507);

/** Sends datagrams of this many fragments. Returns the ratio of those that did not arrive. */
async function measure(fragments: number): Promise<number> {
  const receiver = desk.socket();
  await receiver.bind(["0.0.0.0", 9000]);
  let received = 0;
  const receiving = (async () => {
    for await (const { size } of receiver) if (size === payloadOf(fragments)) received++;
  })();
  const sender = camera.socket();
  const payload = Buffer.alloc(payloadOf(fragments));
  for (let count = 0; count < datagrams; count++) {
    await sender.sendto(payload, ["desk", 9000]);
    // The receiver keeps incomplete datagrams for 30 s, in at most 4 MiB. Faster sending would fill this memory.
    await setTimeout(1000);
  }
  await Promise.all([receiver.close(), receiving]);
  return 1 - received / datagrams;
}

const percent = (share: number): string => `${(100 * share).toFixed(2)}%`.padStart(7);

console.log(`${datagrams} datagrams a row, each fragment lost with a chance of ${lossRatio * 100}%`);
console.log("fragments  payload  predicted  measured  99.9% of runs are within");
for (const fragments of [1, 2, 3, 4, 5, 10, 15, 20, 25, 30, 35, 40, 45]) {
  const predicted = 1 - (1 - lossRatio) ** fragments;
  const measured = await network.run(() => measure(fragments), { limitMs: 86_400_000 });
  const margin = 3.29 * Math.sqrt((predicted * (1 - predicted)) / datagrams);
  const within = `${percent(Math.max(0, predicted - margin))} to ${percent(predicted + margin)}`;
  const mark = Math.abs(measured - predicted) <= margin ? "" : "  outside";
  const [count, bytes] = [String(fragments).padStart(9), String(payloadOf(fragments)).padStart(7)];
  console.log(`${count}  ${bytes}    ${percent(predicted)}   ${percent(measured)}  ${within}${mark}`);
}
