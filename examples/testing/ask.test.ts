import { AF_INET, SOCK_DGRAM, socket } from "datagram";
import { Network } from "datagram/sim";
import { expect, test } from "vitest";

import { answer, ask } from "./ask.js";

test("an answer comes over real sockets", async ({ onTestFinished }) => {
  const [camera, desk] = [socket(AF_INET, SOCK_DGRAM), socket(AF_INET, SOCK_DGRAM)];
  onTestFinished(async () => {
    await Promise.all([camera.close(), desk.close()]);
  });
  await camera.bind(["127.0.0.1", 0]); // port 0: any free port, so that tests do not meet
  void answer(camera);
  expect(await ask(desk, "ping", camera.getsockname())).toBe("ack: ping");
});

test.for([1, 2, 3, 4, 5])("an answer comes although packets are lost, seed %i", async (seed) => {
  const network = new Network({ seed });
  const camera = network.host("camera", { address: "10.0.0.2" });
  const desk = network.host("desk", { address: "10.0.0.1" });
  network.link(desk, camera, { latencyMs: 25, lossRatio: 0.2 });
  await network.run(async () => {
    const s = camera.socket();
    await s.bind(["", 9000]);
    void answer(s);
    expect(await ask(desk.socket(), "ping", ["camera", 9000], 20)).toBe("ack: ping");
  });
});
