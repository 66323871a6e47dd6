import assert from "node:assert/strict";
import { test } from "node:test";

import { AF_INET, SOCK_DGRAM, TimeoutError, socket } from "datagram";
import { Network } from "datagram/sim";

import { answer, ask } from "./ask.js";

void test("an answer comes over real sockets", async (t) => {
  const [camera, desk] = [socket(AF_INET, SOCK_DGRAM), socket(AF_INET, SOCK_DGRAM)];
  t.after(() => Promise.all([camera.close(), desk.close()]));
  await camera.bind(["127.0.0.1", 0]);
  void answer(camera);
  assert.equal(await ask(desk, "ping", camera.getsockname()), "ack: ping");
});

void test("after five tries without an answer the call fails", async () => {
  const network = new Network();
  const camera = network.host("camera", { address: "10.0.0.2" });
  const desk = network.host("desk", { address: "10.0.0.1" });
  network.link(desk, camera, { lossRatio: 1 });
  const started = performance.now();
  await network.run(async () => {
    const s = desk.socket();
    await assert.rejects(ask(s, "ping", ["camera", 9000]), TimeoutError);
    assert.equal(s.clock.now() >= 2500, true); // five times 500 ms of virtual time
    assert.equal(s.stats().sent.datagrams, 5);
  });
  console.log(`took ${Math.round(performance.now() - started)} ms`);
});
