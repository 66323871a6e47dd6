/** Mistakes of the program in a call are errors or warnings that say what to write, and `close()` ends every call. */

import { gelf, messages } from "datagram/message";
import { expect, test } from "vitest";

import { forged } from "./frames.js";
import { between, desk, next, pattern, sleep } from "./tools.js";

test("a listener that throws is an uncaught exception, and the messages go on", async () => {
  await between({ latencyMs: 1 }, async ({ camera, desk: to, sockets }) => {
    const thrown: unknown[] = [];
    const before = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", (error) => thrown.push(error));
    try {
      to.on("lost", () => {
        throw new Error("of the program");
      });
      await sockets[0].sendto(forged(7), desk);
      await sleep(20_000);
      expect(thrown).toEqual([new Error("of the program")]);
      await camera.send("hello", desk);
      expect((await next(to)).data.toString()).toBe("hello");
    } finally {
      process.removeAllListeners("uncaughtException");
      for (const listener of before) process.on("uncaughtException", listener);
    }
  });
});

test("a listener for an event that does not exist is a warning", async () => {
  await between({}, async ({ camera, sockets, hosts }) => {
    const found: unknown[] = [];
    sockets[0].on("warning", (warning) => found.push(warning));
    camera.on("lost", () => undefined).once("failed", () => undefined);
    // @ts-expect-error: there is no event "lots"
    camera.on("lots", () => undefined);
    // @ts-expect-error: messages are read with a loop
    camera.once("message", () => undefined);
    camera.on("my own event" as never, () => undefined);
    // @ts-expect-error: the argument of the listener has the type of the event
    camera.on("lost", (message: { nothing: string }) => message.nothing);
    const s = hosts[0].socket();
    s.on("warning", (warning) => found.push(warning));
    // @ts-expect-error: there is no event "Lost"
    messages(s, { codec: gelf() }).addListener("Lost", () => undefined);
    // @ts-expect-error: there is no event "unreachble"
    s.on("unreachble", () => undefined);
    await sleep(1);
    const never = "and this listener is never called";
    expect(found).toEqual(
      [
        `messages have no event "lots", ${never}: did you mean "lost"?`,
        `messages have no event "message", ${never}: "for await (const message of m)" reads messages`,
        `messages of a codec have no event "Lost", ${never}: did you mean "lost"?`,
        `a socket has no event "unreachble", ${never}: did you mean "unreachable"?`,
      ].map((message) => ({ code: "NO_SUCH_EVENT", message })),
    );
  });
});

test("wrong options are refused with their names", async () => {
  await between({}, async ({ camera, sockets, hosts }) => {
    expect(() => messages(sockets[0])).toThrow("messages() reads this socket");
    const s = hosts[0].socket();
    await expect(sockets[0][Symbol.asyncIterator]().next()).rejects.toThrow(
      "for await: messages() reads this socket",
    );
    expect(() => messages(s, { windowChunk: 3 } as never)).toThrow(/windowChunks/);
    expect(() => messages(s, { codex: gelf() } as never)).toThrow(
      /, codec, not "codex": did you mean codec\?/,
    );
    await expect(camera.send("x", desk, { timeoutMs: 5 } as never)).rejects.toThrow(
      /did you mean deadlineMs\?/,
    );
    await expect(camera.request("x", desk, { deadlineMs: 5 } as never)).rejects.toThrow(
      /did you mean timeoutMs\?/,
    );
    expect(() => messages(s, { chunkBytes: 10 })).toThrow(RangeError);
    expect(() => messages({} as never)).toThrow(TypeError);
    await expect(camera.send("x", desk, { mode: "quick" as never })).rejects.toThrow(RangeError);
    await expect(camera.send("x", desk, { channel: 256 })).rejects.toThrow(RangeError);
    await expect(camera.send("x", ["239.1.1.1", 9000])).rejects.toMatchObject({ code: "EINVAL" });
    await expect(camera.send("x", ["255.255.255.255", 9000])).rejects.toMatchObject({ code: "EINVAL" });
    await expect(camera.send(5 as never, desk)).rejects.toThrow(TypeError);
    await expect(camera.send("x", ["nobody", 9000])).rejects.toMatchObject({ code: "ENOTFOUND" });
  });
});

test("close ends calls and iterations, and gives the socket back", async () => {
  await between({ latencyMs: 5 }, async ({ camera, desk: to, sockets }) => {
    const ended = (async () => {
      for await (const message of to) expect(message).toBeUndefined();
      return "ended";
    })();
    await expect(sockets[1].recvfrom(64)).rejects.toMatchObject({ code: "EBUSY" });
    const refused = camera.send(pattern(100_000), desk).catch((error: unknown) => error);
    await sleep(1);
    await camera.close();
    await to.close();
    expect(await ended).toBe("ended");
    expect(await refused).toMatchObject({ code: "ECANCELED" });
    await expect(camera.send("x", desk)).rejects.toMatchObject({ code: "EBADF" });
    await sleep(100);
    const read = async (): Promise<string> => {
      for await (const { data } of sockets[1]) if (data[0] !== 0x0d) return data.toString();
      return "nothing";
    };
    await sockets[0].sendto("plain", desk);
    expect(await read()).toBe("plain");
  });
});
