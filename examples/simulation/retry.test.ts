import { Network } from "datagram/sim";
import { expect, test } from "vitest";

import { receive } from "./program.js";
import { request } from "./retry.js";

const seeds = Array.from({ length: 100 }, (_, index) => index + 1);

test.each(seeds)(
  "20 requests get their own answers although 20%% of the packets are lost: seed %i",
  async (seed) => {
    const network = new Network({ seed });
    const camera = network.host("camera", { address: "10.0.0.2" });
    const desk = network.host("desk", { address: "10.0.0.1" });
    network.link(desk, camera, { latencyMs: 25, jitterMs: 200, lossRatio: 0.2, duplicateRatio: 0.05 });

    await network.run(async () => {
      const server = camera.socket();
      await server.bind(["0.0.0.0", 9000]);
      void receive(server);

      const client = desk.socket();
      for (let count = 1; count <= 20; count++) {
        expect(await request(client, `ping ${count}`, ["camera", 9000])).toBe(`ack: ping ${count}`);
      }
    });

    // The network was bad: otherwise the test proves nothing.
    expect(network.trace.packets.some(({ fate }) => fate === "lost")).toBe(true);
  },
);
