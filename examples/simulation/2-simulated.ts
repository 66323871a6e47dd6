import { Network } from "datagram/sim";

import { receive, request } from "./program.js";

const network = new Network();
const camera = network.host("camera", { address: "10.0.0.2" });
const desk = network.host("desk", { address: "10.0.0.1" });
network.link(desk, camera, { latencyMs: 25 });

await network.run(async () => {
  const server = camera.socket();
  await server.bind(["0.0.0.0", 9000]);
  void receive(server);

  const client = desk.socket();
  for (let count = 1; count <= 20; count++) {
    await request(client, `ping ${count}`, ["camera", 9000]);
  }
  console.log(`20 requests, 20 replies, in ${Date.now() - Date.UTC(2026, 0, 1)} ms of virtual time`);
});
