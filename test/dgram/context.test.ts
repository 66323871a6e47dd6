/** The contexts of `AsyncLocalStorage` in which listeners and callbacks run. */

import { AsyncLocalStorage } from "node:async_hooks";

import { expect } from "vitest";

import { event, row, soon } from "./worlds.js";

const context = new AsyncLocalStorage<string>();

row("the callback of a send runs in the context of the send", async ({ bound }) => {
  const [a, b] = [await bound(), await bound()];
  const found: unknown[] = [];
  await new Promise<void>((resolve) => {
    for (const name of ["one", "two", "three"]) {
      context.run(name, () => {
        a.send(name, b.address().port, "127.0.0.1", () => {
          if (found.push(context.getStore()) === 3) resolve();
        });
      });
    }
  });
  expect(found).toEqual(["one", "two", "three"]);
});

row("the callback of a send that fails runs in the context of the send", async ({ bound }) => {
  const s = await bound();
  const big = Buffer.alloc(70_000);
  const found = await new Promise((resolve) => {
    context.run("sending", () => {
      s.send(big, 9, "127.0.0.1", (error) => resolve([error?.message, context.getStore()]));
    });
  });
  expect(found).toEqual(["send EMSGSIZE 127.0.0.1:9", "sending"]);
});

row("a message listener runs in the context of createSocket", async ({ bound, socket }) => {
  const from = await bound();
  const s = context.run("creating", () => socket());
  const found: unknown[] = [];
  context.run("binding", () => s.bind(0, "127.0.0.1"));
  await event(s, "listening");
  const done = new Promise<void>((resolve) => {
    context.run("listening", () => {
      s.on("message", () => {
        void Promise.resolve().then(() => {
          if (found.push(context.getStore()) === 3) resolve();
        });
      });
    });
  });
  context.run("sending", () => {
    for (let count = 0; count < 3; count++) from.send("x", s.address().port, "127.0.0.1");
  });
  await done;
  expect(found).toEqual(["creating", "creating", "creating"]);
});

row("listening, connect and close are emitted in the contexts of their calls", async ({ bound, socket }) => {
  const peer = await bound();
  const s = context.run("creating", () => socket());
  const found: unknown[] = [];
  const note = (name: string) => () => void found.push([name, context.getStore()]);
  s.on("listening", note("listening")).on("connect", note("connect")).on("close", note("close"));
  context.run("binding", () => s.bind(0, "127.0.0.1"));
  await event(s, "listening");
  context.run("connecting", () => s.connect(peer.address().port, "127.0.0.1"));
  await event(s, "connect");
  await new Promise<void>((resolve) => s.send("x", () => resolve()));
  const done = event(s, "close");
  context.run("closing", () => s.close());
  await done;
  await soon();
  expect(found).toEqual([
    ["listening", "binding"],
    ["connect", "connecting"],
    ["close", "closing"],
  ]);
});
