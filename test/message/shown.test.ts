/** `String()` and `console.log` show of messages what a reader wants to know. */

import { inspect } from "node:util";

import { messages, shortEnds } from "datagram/message";
import { expect, test } from "vitest";

import { between, collect, desk, next } from "./tools.js";

test("String of a message is its size and its source, and console.log shows its fields", async () => {
  await between({}, async ({ camera, desk: to, sockets }) => {
    await camera.send("hello", desk, { channel: 3 });
    const message = await next(to);
    const source = String(message.source);
    expect(String(message)).toBe(`5 bytes from ${source}`);
    expect(inspect(message)).toMatch(/^Message \{\n {2}data: <Buffer 68 65 6c 6c 6f>,/);
    expect(Object.keys(message)).toEqual(["data", "source", "channel", "chunks", "repaired", "verified"]);
    expect(String({ ...message })).toBe("[object Object]");
    const clone = structuredClone(message);
    expect([clone.data.constructor, clone.chunks]).toEqual([Uint8Array, 1]);
    await to.close();
    const devices = messages(sockets[1], { codec: shortEnds({ sliceBytes: 4 }) });
    const arrived = devices[Symbol.asyncIterator]().next();
    await sockets[0].sendto("x", desk);
    expect(String((await arrived).value)).toBe(`1 byte from ${source}`);
    expect(String(devices)).toBe(`messages of ${desk.join(":")}`);
    expect(inspect(devices)).toMatch(/^CodecMessages \{\n {2}socket: Socket \{.* local: '10\.0\.0\.2:9000'/);
    expect(JSON.parse(JSON.stringify(devices))).toMatchObject({ socket: { local: desk.join(":") } });
  });
});

test("String and console.log of messages name the socket, and nothing of the event emitter", async () => {
  await between({}, async ({ camera, desk: to }) => {
    const arrived = collect(to);
    await camera.send("hello", desk);
    expect(arrived.length).toBe(1);
    expect(String(to)).toBe(`messages of ${desk.join(":")}`);
    const shown = inspect(to);
    expect(shown).toMatch(/^Messages \{\n {2}socket: Socket \{.* local: '10\.0\.0\.2:9000'/);
    expect(shown).toContain("received: 1");
    expect(shown).not.toContain("_events");
    const json: unknown = JSON.parse(JSON.stringify(to));
    expect(json).toMatchObject({ socket: { local: desk.join(":") }, received: 1 });
    expect(json).not.toHaveProperty("_events");
    expect(inspect(new Proxy(to, {}))).toContain("Messages");
    expect(inspect({ to }, { depth: 0 })).toBe("{ to: [Messages] }");
    expect(inspect({ to }, { depth: 1 })).toContain("socket: [Socket]");
    expect(inspect(Object.create(to))).toContain("Messages {}");
    await to.close();
    expect(String(to)).toBe("closed messages");
    expect(inspect(to)).toContain("closed: true");
  });
});
