/** The programs of the page in TypeScript and in Python, in every pairing, each in both roles. */

import { describe, expect } from "vitest";

import { unusedPort } from "../ports.js";
import { eachPairing, eachSide, host, plain, startServer } from "./matrix.js";

const clean = { code: 0, signal: null, stderr: "" };

eachPairing("one line sends a datagram", async (client, receiver, test) => {
  const { server, port } = await startServer(receiver, test, "receive");
  const sender = client.start(test, "send", host, port);
  expect(plain(await server.line())).toMatch(/^from 127\.0\.0\.1:\d+ got hello$/);
  expect(await sender.ended).toEqual({ ...clean, lines: [] });
});

eachPairing("one socket sends to three receivers", async (client, receiver, test) => {
  const receivers = await Promise.all([1, 2, 3].map(() => startServer(receiver, test, "receive")));
  const sender = client.start(test, "fan-out", ...receivers.map(({ port }) => `${host}:${port}`));
  const lines = await Promise.all(receivers.map(({ server }) => server.line()));
  expect(plain(lines[0]!)).toMatch(/^from 127\.0\.0\.1:\d+ got hello$/);
  expect(new Set(lines).size, "the port that the first send took stays").toBe(1);
  expect(await sender.ended).toEqual({ ...clean, lines: [] });
});

eachPairing("a receiver continues with the next datagram", async (client, receiver, test) => {
  const { server, port } = await startServer(receiver, test, "receive");
  for (let round = 0; round < 2; round++) {
    const target = `${host}:${port}`;
    const sender = client.start(test, "fan-out", target, target, target);
    for (let datagram = 0; datagram < 3; datagram++) {
      expect(plain(await server.line())).toMatch(/^from 127\.0\.0\.1:\d+ got hello$/);
    }
    expect(await sender.ended).toMatchObject(clean);
  }
});

eachPairing(
  "ping is answered with pong, and other datagrams are not answered",
  async (client, answerer, test) => {
    const { port } = await startServer(answerer, test, "ping-pong");
    expect(await client.start(test, "send", host, port).ended).toMatchObject(clean);
    const { lines, ...ending } = await client.start(test, "request", host, port).ended;
    expect(lines.map(plain)).toEqual(["reply: pong"]);
    expect(ending).toEqual(clean);
  },
);

eachPairing("a request is acknowledged", async (client, acknowledger, test) => {
  const { server, port } = await startServer(acknowledger, test, "ack-receiver");
  const { lines, ...ending } = await client.start(test, "request", host, port).ended;
  expect(lines.map(plain)).toEqual(["reply: ack: ping"]);
  expect(ending).toEqual(clean);
  expect(plain(await server.line())).toMatch(/^got ping from 127\.0\.0\.1:\d+$/);
});

eachPairing("a datagram is cut at the size that recvfrom names", async (client, receiver, test) => {
  const [long, short] = await Promise.all([
    startServer(receiver, test, "receive"),
    startServer(receiver, test, "ack-receiver"),
  ]);
  for (const { port } of [long, short]) {
    expect(await client.start(test, "send-long", host, port).ended).toMatchObject(clean);
  }
  expect(plain(await long.server.line())).toMatch(/^from \S+ got a{1024}$/);
  expect(plain(await long.server.line())).toMatch(/^from \S+ got hello$/);
  expect(plain(await short.server.line())).toMatch(/^got a{64} from \S+$/);
  expect(plain(await short.server.line())).toMatch(/^got hello from \S+$/);
});

eachPairing("`with` closes the socket, also after an error", async (client, receiver, test) => {
  const { server, port } = await startServer(receiver, test, "receive");
  const ending = await client.start(test, "with", host, port).ended;
  expect(ending).toEqual({ ...clean, lines: ["inside 1", "after 0", "after an error 0"] });
  for (let datagram = 0; datagram < 2; datagram++) {
    expect(plain(await server.line())).toMatch(/^from 127\.0\.0\.1:\d+ got hello$/);
  }
});

// Each test waits two seconds for an answer that never comes, so they run at the same time.
describe.concurrent("no reply in 2 s", () => {
  eachPairing("the receiver does not answer", async (client, receiver, test) => {
    const { server, port } = await startServer(receiver, test, "receive");
    const asked = performance.now();
    const ending = await client.start(test, "request", host, port).ended;
    test.expect(ending).toEqual({ ...clean, lines: ["no reply in 2 s -- packet lost?"] });
    test.expect(performance.now() - asked).toBeGreaterThanOrEqual(2000);
    test.expect(plain(await server.line())).toMatch(/^from 127\.0\.0\.1:\d+ got ping$/);
  });

  eachSide("the port is closed", async (client, test) => {
    const ending = await client.start(test, "request", host, unusedPort()).ended;
    test.expect(ending).toEqual({ ...clean, lines: ["no reply in 2 s -- packet lost?"] });
  });
});
