import { Network } from "datagram/sim";

import { receive, request } from "./program.js";

const network = new Network({ seed: 4 });
const camera = network.host("camera", { address: "10.0.0.2" });
const desk = network.host("desk", { address: "10.0.0.1" });
network.link(desk, camera, { latencyMs: 25, lossRatio: 0.2 });

try {
  await network.run(async () => {
    const server = camera.socket();
    await server.bind(["0.0.0.0", 9000]);
    void receive(server);

    const client = desk.socket();
    for (let count = 1; count <= 20; count++) {
      await request(client, `ping ${count}`, ["camera", 9000]);
    }
  });
} catch (error) {
  console.log((error as Error).message);
}
console.log(`\n${network.trace.toString()}`);
