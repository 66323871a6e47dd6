/** Exchanges between the programs of the page, for each side of the client and each side of the server. */

import type { TestContext } from "vitest";

import { cleanEnding } from "../process/programs.js";
import { type SharedServer, type Side, host, plain } from "./matrix.js";

/** Ping is answered with pong, and other datagrams are not answered. */
export async function pingPong(
  client: Side,
  answerer: Side,
  test: TestContext,
  serverOf: SharedServer,
): Promise<void> {
  const { port } = await serverOf(answerer, "ping-pong");
  test.expect(await client.start(test, "send", host, port).ended).toMatchObject(cleanEnding);
  const { lines, ...ending } = await client.start(test, "request", host, port).ended;
  test.expect(lines.map(plain)).toEqual(["reply: pong"]);
  test.expect(ending).toEqual(cleanEnding);
}

/** A request is acknowledged. */
export async function acknowledgement(
  client: Side,
  acknowledger: Side,
  test: TestContext,
  serverOf: SharedServer,
): Promise<void> {
  const { server, port } = await serverOf(acknowledger, "ack-receiver");
  const { lines, ...ending } = await client.start(test, "request", host, port).ended;
  test.expect(lines.map(plain)).toEqual(["reply: ack: ping"]);
  test.expect(ending).toEqual(cleanEnding);
  test.expect(plain(await server.line())).toMatch(/^got ping from 127\.0\.0\.1:\d+$/);
}

/** A datagram is cut at the size that the receiver passes to `recvfrom`. */
export async function truncation(
  client: Side,
  receiver: Side,
  test: TestContext,
  serverOf: SharedServer,
): Promise<void> {
  const [long, short] = await Promise.all([
    serverOf(receiver, "receive"),
    serverOf(receiver, "ack-receiver"),
  ]);
  for (const { port } of [long, short]) {
    test.expect(await client.start(test, "send-long", host, port).ended).toMatchObject(cleanEnding);
  }
  test.expect(plain(await long.server.line())).toMatch(/^from \S+ got a{1024}$/);
  test.expect(plain(await long.server.line())).toMatch(/^from \S+ got hello$/);
  test.expect(plain(await short.server.line())).toMatch(/^got a{64} from \S+$/);
  test.expect(plain(await short.server.line())).toMatch(/^got hello from \S+$/);
}

/** A request that the receiver does not answer ends after 2 s. */
export async function noReply(
  client: Side,
  receiver: Side,
  test: TestContext,
  serverOf: SharedServer,
): Promise<void> {
  const { server, port } = await serverOf(receiver, "receive");
  const asked = performance.now();
  const ending = await client.start(test, "request", host, port).ended;
  test.expect(ending).toEqual({ ...cleanEnding, lines: ["no reply in 2 s -- packet lost?"] });
  test.expect(performance.now() - asked).toBeGreaterThanOrEqual(2000);
  test.expect(plain(await server.line())).toMatch(/^from 127\.0\.0\.1:\d+ got ping$/);
}
