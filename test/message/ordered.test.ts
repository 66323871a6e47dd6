/** Ordered messages never arrive after a later one of their channel, and a message that is too late is told to its sender. */

import type { IcmpError, Link, Network, UdpDatagram } from "datagram/sim";
import { expect, test } from "vitest";

import { between, collect, desk, pattern, sleep } from "./tools.js";

const ordered = { mode: "ordered" } as const;

test("messages that wait for one that is still arriving are not released, however long it takes", async () => {
  await between({ latencyMs: 10 }, async ({ camera, desk: to, link, network }) => {
    const arrived = collect(to);
    await camera.send("first", desk, ordered);
    const second = pattern(100_000);
    slowDown(link, network, second.length);
    const sent = [second, "third", "fourth"].map((data) => camera.send(data, desk, ordered));
    await Promise.all(sent);
    expect(arrived.map(({ data }) => data.length)).toEqual([5, 100_000, 5, 6]);
  });
});

test("a message whose place in the order has passed is not delivered, and its sender is told", async () => {
  await between({ latencyMs: 10 }, async ({ camera, desk: to, link }) => {
    const arrived = collect(to);
    await camera.send("first", desk, ordered);
    let isOver = false;
    // All copies of the second message are lost for 7 s, which is longer than the third one waits.
    link.drop(
      ({ content }) => !isOver && content.protocol === "udp" && content.payload.includes("second"),
      "up",
    );
    const second = camera.send("second", desk, ordered).catch((error: unknown) => error);
    await camera.send("third", desk, ordered);
    await sleep(7000);
    isOver = true;
    expect(await second).toMatchObject({ code: "ETIMEDOUT", arrivedChunks: 0 });
    await camera.send("fourth", desk, ordered);
    expect(arrived.map(({ data }) => data.toString())).toEqual(["first", "third", "fourth"]);
    expect(to.stats().dropped.superseded).toBeGreaterThan(0);
  });
});

test("after a message failed, those after it keep their order", async () => {
  await between({ latencyMs: 10 }, async ({ camera, desk: to, link }) => {
    const arrived = collect(to);
    await camera.send("first", desk, ordered);
    let lost = 0;
    link.drop(
      ({ content }) => content.protocol === "udp" && content.payload.includes("third") && lost++ < 4,
      "up",
    );
    const stop = new AbortController();
    const second = camera.send(pattern(300_000), desk, { ...ordered, signal: stop.signal });
    const failed = expect(second).rejects.toThrow("enough");
    const third = camera.send("third", desk, ordered);
    await sleep(5);
    stop.abort(new Error("enough"));
    const fourth = camera.send("fourth", desk, ordered);
    await Promise.all([failed, third, fourth]);
    expect(lost).toBeGreaterThan(4);
    expect(arrived.map(({ data }) => data.toString())).toEqual(["first", "third", "fourth"]);
  });
});

test("a message that is lost after it began does not release those that wait for another one", async () => {
  await between(
    { latencyMs: 10 },
    async ({ camera, desk: to, link, network }) => {
      const arrived = collect(to);
      await camera.send("first", desk, ordered);
      const [second, third] = [pattern(100_000), pattern(20_000)];
      slowDown(link, network, second.length);
      // Of the third message only two chunks arrive, until the receiver has dropped them.
      let chunks = 0;
      link.drop(
        ({ content }) => lengthOf(content) === third.length && ++chunks > 2 && network.clock.now() < 5000,
        "up",
      );
      const sent = [second, third, "fourth"].map((data) => camera.send(data, desk, ordered));
      await Promise.all(sent);
      expect(to.stats().lost).toEqual({ idle: 1 });
      expect(arrived.map(({ data }) => data.length)).toEqual([5, 100_000, 20_000, 6]);
    },
    { desk: { idleMs: 2000 } },
  );
});

/** Lets a message take 8 s: chunk 21 and the seven after it are lost until they are sent after 1, 2, … 8 s. */
function slowDown(link: Link, network: Network, length: number): void {
  link.drop((packet) => {
    if (lengthOf(packet.content) !== length) return false;
    const index = (packet.content as UdpDatagram).payload.readUInt16BE(8);
    return index > 20 && index <= 28 && network.clock.now() < 1000 * (index - 20);
  }, "up");
}

/** The bytes of the message that a datagram belongs to. */
function lengthOf(content: UdpDatagram | IcmpError): number {
  return content.protocol === "udp" && content.payload.length > 24 ? content.payload.readUInt32BE(12) : 0;
}
