/** A peer that sends all datagrams back is not taken for one that reads messages. */

import { type Message, type Messages, type MessagesOptions, messages } from "datagram/message";
import { Network } from "datagram/sim";
import { describe, expect, test } from "vitest";

import { between, collect, desk, next, pattern, sleep } from "./tools.js";

/** Runs a program with messages whose peer at `desk` sends each datagram back, 80 ms away and with some losses. */
async function withEcho(
  program: (camera: Messages, found: readonly Message[]) => Promise<void>,
): Promise<void> {
  const network = new Network({ seed: 1 });
  const hosts = [
    network.host("camera", { address: "10.0.0.1" }),
    network.host("desk", { address: desk[0] }),
  ] as const;
  network.link(hosts[0], hosts[1], { latencyMs: 80, lossRatio: 0.1 });
  await network.run(async () => {
    const [s, echo] = [hosts[0].socket(), hosts[1].socket()];
    await echo.bind(desk);
    void (async () => {
      for await (const { data, source } of echo) await echo.sendto(data, source);
    })();
    const options: MessagesOptions = { idleMs: 500 };
    const camera = messages(s, options);
    const found = collect(camera);
    camera.on("lost", (message) => expect.unreachable(`a message began: ${message.cause}`));
    await program(camera, found);
    // The last datagrams come back, and nothing is made of them.
    await sleep(2000);
    expect(found).toEqual([]);
    const { received, lost, dropped } = camera.stats();
    expect({ received, lost }).toEqual({ received: 0, lost: {} });
    expect(Object.keys(dropped)).toEqual(["returned"]);
    expect(camera.peer(desk).stats()).toMatchObject({ receivedChunks: 0, pendingMessages: 0 });
  });
}

describe("a peer that sends all datagrams back", () => {
  test.each([
    ["reliable", 1],
    ["reliable", 9000],
    ["reliable", 300_000],
    ["ordered", 9000],
  ] as const)("fails a message: %s, %i bytes", async (mode, bytes) => {
    await withEcho(async (camera) => {
      await expect(camera.send(pattern(bytes), desk, { mode, parity: 2 })).rejects.toMatchObject({
        name: "MessageError",
        code: "EPROTONOSUPPORT",
        arrivedChunks: 0,
        message: expect.stringContaining(
          "the peer sends all datagrams back, and does not read messages",
        ) as string,
      });
    });
  });

  test("fails a request, with a handler at this side and without one", async () => {
    await withEcho(async (camera) => {
      const failure = { code: "EPROTONOSUPPORT", syscall: "request" };
      await expect(camera.request("hello", desk)).rejects.toMatchObject(failure);
      camera.serve(() => expect.unreachable("an own request is served"));
      await expect(camera.request("hello", desk)).rejects.toMatchObject(failure);
    });
  });

  test("delivers nothing of messages that ended before they came back", async () => {
    await withEcho(async (camera) => {
      await camera.send("position", desk, { mode: "fleeting" });
      const late = camera.send("late", desk, { deadlineMs: 20 });
      await expect(late).rejects.toMatchObject({ code: "ETIMEDOUT" });
      const signal = AbortSignal.timeout(1);
      await expect(camera.send(pattern(5000), desk, { signal })).rejects.toMatchObject({
        name: "TimeoutError",
      });
    });
  });
});

test("two peers that send each other the same bytes at the same moment both get them", async () => {
  await between({ latencyMs: 20, lossRatio: 0.1 }, async ({ camera, desk: to, sockets }) => {
    await sockets[0].bind(["10.0.0.1", 9000]);
    const found = [collect(camera), collect(to)] as const;
    const data = pattern(5000);
    for (const mode of ["reliable", "ordered"] as const) {
      await Promise.all([camera.send(data, desk, { mode }), to.send(data, ["10.0.0.1", 9000], { mode })]);
    }
    expect(found.map((each) => each.map((message) => message.data.equals(data)))).toEqual([
      [true, true],
      [true, true],
    ]);
  });
});

test("a reply with the bytes of its request is a reply", async () => {
  await between({ latencyMs: 20, lossRatio: 0.3 }, async ({ camera, desk: to }) => {
    to.serve(({ data }) => data);
    for (let n = 0; n < 20; n++) {
      const data = pattern(3000, n);
      expect((await camera.request(data, desk)).data.equals(data)).toBe(true);
    }
    expect([camera.stats(), to.stats()].map(({ dropped }) => dropped.returned)).toEqual([
      undefined,
      undefined,
    ]);
    const arrived = next(to);
    await camera.send("after", desk);
    expect((await arrived).data.toString()).toBe("after");
  });
});
