import { Network } from "datagram/sim";

import { receive } from "./program.js";
import { request } from "./retry.js";

const network = new Network({ seed: 4 });
const camera = network.host("camera", { address: "10.0.0.2" });
const desk = network.host("desk", { address: "10.0.0.1" });
network.link(desk, camera, { latencyMs: 25, jitterMs: 200, lossRatio: 0.2 });

await network.run(async () => {
  const server = camera.socket();
  await server.bind(["0.0.0.0", 9000]);
  void receive(server);

  const client = desk.socket();
  for (let count = 1; count <= 20; count++) {
    const reply = await request(client, `ping ${count}`, ["camera", 9000]);
    if (reply !== `ack: ping ${count}`) console.log(`ping ${count} got "${reply}"`);
  }
});

const { packets, hash } = network.trace;
const lost = packets.filter(({ fate }) => fate === "lost");
console.log(`20 right replies, ${lost.length} of ${packets.length} packets lost; trace ${hash}`);
