/** The programs of the page in TypeScript and in Python, in every pairing, each in both roles. */

import { describe, expect } from "vitest";

import { unusedPort } from "../ports.js";
import { cleanEnding, sharedLifetime } from "../process/programs.js";
import { acknowledgement, noReply, pingPong, truncation } from "./exchanges.js";
import { eachPairing, eachSide, host, plain, shareServers } from "./matrix.js";

const serverOf = shareServers(sharedLifetime());

eachPairing("one line sends a datagram", async (client, receiver, test) => {
  const { server, port } = await serverOf(receiver, "receive");
  const sender = client.start(test, "send", host, port);
  expect(plain(await server.line())).toMatch(/^from 127\.0\.0\.1:\d+ got hello$/);
  expect(await sender.ended).toEqual({ ...cleanEnding, lines: [] });
});

eachPairing("one socket sends to three receivers", async (client, receiver, test) => {
  const receivers = await Promise.all([0, 1, 2].map((index) => serverOf(receiver, "receive", index)));
  const sender = client.start(test, "fan-out", ...receivers.map(({ port }) => `${host}:${port}`));
  const lines = await Promise.all(receivers.map(({ server }) => server.line()));
  expect(plain(lines[0]!)).toMatch(/^from 127\.0\.0\.1:\d+ got hello$/);
  expect(new Set(lines).size, "the port that the first send took stays").toBe(1);
  expect(await sender.ended).toEqual({ ...cleanEnding, lines: [] });
});

eachPairing("a receiver continues with the next datagram", async (client, receiver, test) => {
  const { server, port } = await serverOf(receiver, "receive");
  const target = `${host}:${port}`;
  const sender = client.start(test, "fan-out", target, target, target);
  for (let datagram = 0; datagram < 3; datagram++) {
    expect(plain(await server.line())).toMatch(/^from 127\.0\.0\.1:\d+ got hello$/);
  }
  expect(await sender.ended).toMatchObject(cleanEnding);
});

eachPairing("ping is answered with pong, and other datagrams are not answered", (client, server, test) =>
  pingPong(client, server, test, serverOf),
);

eachPairing("a request is acknowledged", (client, server, test) =>
  acknowledgement(client, server, test, serverOf),
);

eachPairing("a datagram is cut at the size that recvfrom names", (client, server, test) =>
  truncation(client, server, test, serverOf),
);

eachPairing("`with` closes the socket, also after an error", async (client, receiver, test) => {
  const { server, port } = await serverOf(receiver, "receive");
  const ending = await client.start(test, "with", host, port).ended;
  expect(ending).toEqual({ ...cleanEnding, lines: ["inside 1", "after 0", "after an error 0"] });
  for (let datagram = 0; datagram < 2; datagram++) {
    expect(plain(await server.line())).toMatch(/^from 127\.0\.0\.1:\d+ got hello$/);
  }
});

// Each test waits two seconds for an answer that never comes, so they run at the same time.
describe.concurrent("no reply in 2 s", () => {
  eachPairing("the receiver does not answer", (client, server, test) =>
    noReply(client, server, test, serverOf),
  );

  eachSide("the port is closed", async (client, test) => {
    const ending = await client.start(test, "request", host, unusedPort()).ended;
    test.expect(ending).toEqual({ ...cleanEnding, lines: ["no reply in 2 s -- packet lost?"] });
  });
});
