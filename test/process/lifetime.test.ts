/** What keeps a process alive, and what does not. */

import dgram from "node:dgram";
import { once } from "node:events";

import { type TestContext, expect, test } from "vitest";

import { type Program, cleanEnding, inEmptyNetwork, needNamespaces, overDrivers, start } from "./programs.js";

const self = "ends by itself";

/** The port of the program's socket, after the program has shown that something keeps it alive. */
async function alive(program: Program): Promise<number> {
  const line = await program.line();
  expect(line).toMatch(/^still here \d+$/);
  return Number(line.split(" ").pop());
}

/** A socket of this process. It is closed when its test ends. */
async function outside({ onTestFinished }: TestContext): Promise<dgram.Socket> {
  const s = dgram.createSocket("udp4").bind(0, "127.0.0.1");
  onTestFinished(() => void s.close());
  await once(s, "listening");
  return s;
}

overDrivers((driver) => {
  // semantics: unreachable-unread, process-lifetime
  test.for([
    "idle",
    "idle after a datagram",
    "idle and connected",
    "idle after a send to nobody",
    "unref, then recvfrom",
    "recvfrom, then unref",
    "unref, recvfrom, then a send to nobody",
  ])("a process ends: %s", async (name, context) => {
    const program = start(context, driver, "lifetime", [name]);
    expect(await program.ended).toEqual({ ...cleanEnding, lines: [self] });
  });

  test("a process ends: recvfrom that was aborted", async (context) => {
    const program = start(context, driver, "lifetime", ["recvfrom that was aborted"]);
    expect(await program.ended).toEqual({ ...cleanEnding, lines: ["AbortError", self] });
  });

  // semantics: process-lifetime
  test.for(["waiting recvfrom", "waiting iteration", "unref, recvfrom, ref"])(
    "a process stays until a datagram comes: %s",
    async (name, context) => {
      const program = start(context, driver, "lifetime", [name]);
      const port = await alive(program);
      (await outside(context)).send("hello", port, "127.0.0.1");
      expect(await program.line()).toBe("got hello");
      expect(await program.ended).toMatchObject(cleanEnding);
      expect(await program.line()).toBe(self);
    },
  );

  test("a process stays: waiting recvfrom of an unbound socket", async (context) => {
    await alive(start(context, driver, "lifetime", ["waiting recvfrom of an unbound socket"]));
  });

  test("a process stays until a timeout has passed", async (context) => {
    const program = start(context, driver, "lifetime", ["recvfrom with a timeout"]);
    await alive(program);
    expect(await program.line()).toBe("ETIMEDOUT");
    expect(await program.line()).toBe(self);
    expect(await program.ended).toMatchObject(cleanEnding);
  });

  test.for(["send that nobody awaits", "send and close that nobody awaits"])(
    "the datagram is sent before the process ends: %s",
    async (name, context) => {
      const receiver = await outside(context);
      const arrival = once(receiver, "message");
      const program = start(context, driver, "lifetime", [name, String(receiver.address().port)]);
      expect(String((await arrival)[0])).toBe("farewell");
      expect(await program.ended).toEqual({ ...cleanEnding, lines: [self] });
    },
  );

  // semantics: send-buffer-full
  test("a process stays alive until a send has room", async (context) => {
    needNamespaces(context);
    const program = start(context, driver, "lifetime", ["send that waits for room"], {
      within: inEmptyNetwork,
    });
    expect(await program.ended).toEqual({ ...cleanEnding, lines: ["all sent", self] });
  });

  test("process.exit ends a process in any state of its sockets", async (context) => {
    const program = start(context, driver, "lifetime", ["process.exit while everything is open"]);
    expect(await program.ended).toEqual({ ...cleanEnding, code: 7, lines: [] });
  });
});
