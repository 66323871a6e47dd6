import { type Socket, TimeoutError } from "datagram";
import { Network } from "datagram/sim";

import { receive } from "./program.js";

/** Tries again, and returns the first datagram that arrives. */
async function request(s: Socket, text: string, to: readonly [string, number]): Promise<string> {
  for (;;) {
    await s.sendto(text, to);
    try {
      const [reply] = await s.recvfrom(64, { timeoutMs: 250 });
      return reply.toString();
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
    }
  }
}

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
