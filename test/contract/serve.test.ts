/** The service that answers requests of one datagram. */

import type { Datagram, OSError, Socket } from "datagram";
import { request, serve } from "datagram/message";
import { expect } from "vitest";

import { contract, event, failure, numbered, pause, texts, turn } from "./world.js";

// semantics: serve
contract("serve answers datagrams with what its handler returns", async ({ bound }) => {
  const [s, client] = [await bound(), await bound()];
  const stop = serve(s, ({ data }) => (data.toString() === "quiet" ? undefined : `ack: ${data.toString()}`));
  await client.sendto("quiet", s.getsockname());
  await client.sendto("ping", s.getsockname());
  expect(await texts(client, 1)).toEqual(["ack: ping"]);
  await stop();
  expect(stop.stats()).toEqual({ received: 2, answered: 1, failed: 0, running: 0 });
  await client.sendto("after", s.getsockname());
  expect(await texts(s, 1)).toEqual(["after"]);
});

// semantics: serve-error
contract("an error of a handler is reported, and the service continues", async ({ bound }) => {
  const [s, client] = [await bound(), await bound()];
  const handler = async ({ data }: Datagram): Promise<string> => {
    await turn(s);
    if (data.toString() === "bad") throw new Error("mine");
    return "good";
  };
  const errors: unknown[] = [];
  const stop = serve(s, handler, {
    onError: (error, { data }) => errors.push([String(error), data.toString()]),
  });
  await client.sendto("bad", s.getsockname());
  await client.sendto("x", s.getsockname());
  expect(await texts(client, 1)).toEqual(["good"]);
  expect(errors).toEqual([["Error: mine", "bad"]]);
  await stop();
  expect(stop.stats()).toMatchObject({ answered: 1, failed: 1 });
  const warned = event(s, "warning");
  await using _unreported = serve(s, handler);
  await client.sendto("bad", s.getsockname());
  const { code, message } = await warned;
  expect(code).toBe("HANDLER_FAILED");
  expect(message).toContain(`from ${client.getsockname()}: mine`);
  const tooLong = event(s, "warning");
  await _unreported();
  serve(s, () => Buffer.alloc(70_000));
  await client.sendto("x", s.getsockname());
  expect((await tooLong).message).toContain("EMSGSIZE");
});

// semantics: serve-concurrency
contract("no more handlers than the limit run at the same time", async ({ bound }) => {
  const [s, client] = [await bound(), await bound()];
  let [running, most] = [0, 0];
  const stop = serve(
    s,
    async ({ data }) => {
      most = Math.max(most, ++running);
      await pause(s, 2);
      running--;
      return data;
    },
    { concurrency: 3 },
  );
  for (const text of numbered(20)) await client.sendto(text, s.getsockname());
  expect((await texts(client, 20)).sort()).toEqual(numbered(20).sort());
  expect(most).toBe(3);
  await stop();
});

// semantics: serve-reader
contract("serve is the only reader, beside requests", async ({ bound }) => {
  const [s, peer] = [await bound(), await bound()];
  const [stop, stopPeer] = [
    serve(s, ({ data }) => `s ${data.toString()}`),
    serve(peer, ({ data }) => `peer ${data.toString()}`),
  ];
  const busy = await failure(s.recvfrom(64));
  expect(busy).toMatchObject({ code: "EBUSY" });
  expect(busy.message).toContain("serve() reads this socket");
  expect(await failure(serve(s, () => "x").ended)).toMatchObject({ code: "EBUSY" });
  const answer = await request(s, "to peer", peer.getsockname());
  expect(answer.data.toString()).toBe("peer to peer");
  // If both ask at once, each needs to know what is an answer.
  const asked = (from: Socket, text: string, to: Socket, start: string): Promise<Datagram> =>
    request(from, text, to.getsockname(), { accept: ({ data }) => data.toString().startsWith(start) });
  const answers = await Promise.all([asked(s, "to peer", peer, "peer"), asked(peer, "to s", s, "s ")]);
  expect(answers.map(({ data }) => data.toString())).toEqual(["peer to peer", "s to s"]);
  await Promise.all([stop(), stopPeer()]);
});

// semantics: serve-end
contract("a service ends with its signal and with close(), after its last handler", async ({ bound }) => {
  const [s, client] = [await bound(), await bound()];
  const control = new AbortController();
  const first = serve(s, () => "x", { signal: control.signal });
  control.abort();
  await first.ended;
  await serve(s, () => "x", { signal: AbortSignal.abort() }).ended;
  let release!: () => void;
  const held = new Promise<void>((resolve) => (release = resolve));
  let ended = false;
  const second = serve(s, async () => {
    await held;
  });
  void second.ended.then(() => (ended = true));
  await client.sendto("x", s.getsockname());
  while (second.stats().running === 0) await turn(s);
  await s.close();
  expect(ended).toBe(false);
  release();
  await second.ended;
  expect(second.stats()).toEqual({ received: 1, answered: 0, failed: 0, running: 0 });
});

// semantics: serve-bad
contract("serve refuses wrong arguments", async ({ bound }) => {
  const s = await bound();
  const code = (call: () => unknown): unknown => {
    try {
      return call();
    } catch (error) {
      return (error as OSError).code;
    }
  };
  expect(code(() => serve({} as never, () => "x"))).toBe("ERR_INVALID_ARG_TYPE");
  expect(code(() => serve(s, "x" as never))).toBe("ERR_INVALID_ARG_TYPE");
  expect(code(() => serve(s, () => "x", { concurrency: 0 }))).toBe("ERR_OUT_OF_RANGE");
  expect(code(() => serve(s, () => "x", { onerror: () => 1 } as never))).toBe("ERR_OUT_OF_RANGE");
});
