import { AF_INET, Address, type Endpoint, OSError, type Socket } from "datagram";
import { expect } from "vitest";

import {
  type Completion,
  bindNow,
  closeThen,
  connectNow,
  pull,
  resolveName,
  transmit,
  waitingSends,
} from "../../src/core/socket/callbacks.js";
import { contract, failure, numbered, soon } from "./world.js";

/** Takes `count` datagrams by `pull`, each as text. */
function pulled(s: Socket, count: number): Promise<string[]> {
  return new Promise((resolve) => {
    const found: string[] = [];
    const read = (): void => {
      while (found.length < count) {
        const datagram = reader.next();
        if (!datagram) return;
        found.push(datagram.data.toString());
      }
      resolve(found);
    };
    const reader = pull(s, "the test", { ready: read });
    read();
  });
}

/** A completion that keeps what it was told. */
function told(): Completion & { readonly events: unknown[]; readonly done: Promise<void> } {
  const events: unknown[] = [];
  let settle!: () => void;
  const done = new Promise<void>((resolve) => (settle = resolve));
  return {
    events,
    done,
    sent(tag) {
      events.push(["sent", tag]);
      settle();
    },
    failed(tag, { code }) {
      events.push(["failed", tag, code]);
      settle();
    },
  };
}

function thrownBy(call: () => unknown): OSError {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(OSError);
    return error as OSError;
  }
  return expect.unreachable("the call threw no error");
}

// semantics: pull
contract("pull returns the datagrams in their order, and each counts as received then", async ({ bound }) => {
  const [from, to] = [await bound(), await bound()];
  for (const text of numbered(50)) await from.sendto(text, to.getsockname());
  expect(await pulled(to, 3)).toEqual(["0", "1", "2"]);
  expect(to.stats().received.datagrams).toBe(3);
  await to.close();
  expect(to.stats().received.datagrams).toBe(3);
});

// semantics: pull
contract("pull calls ready when a datagram arrives later", async ({ bound }) => {
  const [from, to] = [await bound(), await bound()];
  const got = pulled(to, 2);
  await from.sendto("a", to.getsockname());
  await from.sendto("b", to.getsockname());
  expect(await got).toEqual(["a", "b"]);
});

// semantics: pull
contract("after its last datagram, pull waits for the next one without another call", async ({ bound }) => {
  const [from, to] = [await bound(), await bound()];
  let isReady = (): void => undefined;
  const reader = pull(to, "the test", { ready: () => isReady() });
  for (const text of ["a", "b"]) {
    const ready = new Promise<void>((resolve) => (isReady = resolve));
    const early = reader.next();
    await from.sendto(text, to.getsockname());
    if (!early) await ready;
    expect((early ?? reader.next())?.data.toString()).toBe(text);
    expect(reader.waiting).toBe(true);
    // A send reads nothing early: the next datagram is told by `ready`.
    await to.sendto("answer", from.getsockname());
    expect(reader.next()).toBeUndefined();
  }
  reader.end();
});

// semantics: pull
contract("while pull reads, other receive calls are EBUSY; after end() they read", async ({ bound }) => {
  const [from, to] = [await bound(), await bound()];
  const reader = pull(to, "the test", { ready: () => undefined });
  expect(reader.next()).toBeUndefined();
  const busy = await failure(to.recvfrom(64));
  expect(busy).toMatchObject({ code: "EBUSY" });
  expect(busy.message).toContain("the test");
  reader.end();
  expect(reader.next()).toBeUndefined();
  await from.sendto("x", to.getsockname());
  expect((await to.recvmsg(soon)).data.toString()).toBe("x");
});

// semantics: bind-now
contract(
  "bindNow and connectNow are done at once where the driver can, and fail as bind does",
  async ({ bound, socket }) => {
    const first = await bound();
    const s = socket();
    await bindNow(s, new Address("127.0.0.1", 0) as Endpoint);
    expect(s.getsockname().port).toBeGreaterThan(0);
    const again = socket();
    expect(thrownBy(() => bindNow(again, first.getsockname()))).toMatchObject({
      code: "EADDRINUSE",
      port: first.getsockname().port,
    });
    await connectNow(s, first.getsockname());
    expect(s.getpeername().port).toBe(first.getsockname().port);
    await s.send("x");
    expect((await first.recvmsg(soon)).source.port).toBe(s.getsockname().port);
    await connectNow(s, null);
    expect(thrownBy(() => s.getpeername()).code).toBe("ENOTCONN");
    expect(s.family).toBe(AF_INET);
  },
);

// semantics: transmit
contract("transmit copies the payload, and tells its owner the tag", async ({ bound }) => {
  const [from, to] = [await bound(), await bound()];
  const owner = told();
  const payload = Buffer.from("abc");
  expect(transmit(from, payload, to.getsockname(), owner, 7)).toBeUndefined();
  payload.fill("x");
  expect(waitingSends(from).datagrams).toBeLessThanOrEqual(1);
  await owner.done;
  expect(owner.events).toEqual([["sent", 7]]);
  expect(waitingSends(from)).toEqual({ datagrams: 0, bytes: 0 });
  expect((await to.recvmsg(soon)).data.toString()).toBe("abc");
});

// semantics: close-drops
contract(
  "closeThen that drops: sends that wait fail with ECANCELED, and it returns how many",
  async ({ socket }) => {
    const s = socket();
    const owner = told();
    // The lookup of the name takes at least a turn.
    transmit(s, Buffer.from("abc"), new Address("localhost", 9000), owner, 1);
    expect(waitingSends(s)).toEqual({ datagrams: 1, bytes: 3 });
    let isDone = false;
    expect(closeThen(s, () => (isDone = true), true)).toEqual({ datagrams: 1, bytes: 3 });
    await owner.done;
    expect(owner.events).toEqual([["failed", 1, "ECANCELED"]]);
    await s.close();
    expect(isDone).toBe(true);
  },
);

// semantics: resolve-name
contract("resolveName finds an address of a name, and close() cancels it", async ({ socket }) => {
  const s = socket();
  expect((await resolveName(s, "localhost")).host).toBe("127.0.0.1");
  const unknown = await failure(resolveName(s, "no-such-host.invalid"));
  // A resolver that cannot ask another one says EAI_AGAIN.
  expect(["ENOTFOUND", "EAI_AGAIN"]).toContain(unknown.code);
  const pending = failure(resolveName(s, "localhost"));
  await s.close();
  expect(await pending).toMatchObject({ code: "ECANCELED" });
  expect(await failure(resolveName(s, "localhost"))).toMatchObject({ code: "ECANCELED" });
  const idle = socket();
  await idle.close();
  expect(await failure(resolveName(idle, "localhost"))).toMatchObject({ code: "ECANCELED" });
});
