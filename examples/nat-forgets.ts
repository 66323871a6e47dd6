import { setTimeout } from "node:timers/promises";

import { TimeoutError } from "datagram";
import { Network } from "datagram/sim";

const network = new Network({ seed: 1 });
const camera = network.host("camera", { address: "192.168.1.20" });
const home = network.router("home", { address: "203.0.113.1", nat: { mappingTimeoutMs: 30_000 } });
const server = network.host("server", { address: "198.51.100.7" });
network.link(camera, home, { latencyMs: 2 });
network.link(home, server, { latencyMs: 20 });

await network.run(async () => {
  const s = server.socket();
  await s.bind(["0.0.0.0", 9000]);
  const cam = camera.socket();

  // The camera sends first. The server answers that address after longer and longer pauses.
  await cam.sendto("here I am", ["server", 9000]);
  let [, from] = await s.recvfrom(64);
  for (const seconds of [20, 25, 40]) {
    await setTimeout(seconds * 1000);
    await s.sendto("look left", from);
    try {
      await cam.recvfrom(64, { timeoutMs: 1000 });
      console.log(`after ${seconds} s: arrived`);
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
      console.log(`after ${seconds} s: ${network.trace.packets.at(-1)?.fate}`);
    }
  }

  // The camera sends again, and has another port outside.
  await cam.sendto("still here", ["server", 9000]);
  const before = from.port;
  [, from] = await s.recvfrom(64);
  console.log(from.port === before ? "the same port" : "another port", "outside");
});
