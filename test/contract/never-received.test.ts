/** Datagrams that a socket can never receive cause a warning that says what to do. */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";

import { AF_INET, AF_INET6, type Socket, type Warning } from "datagram";
import { expect } from "vitest";

import { freshGroup, meet } from "./groups.js";
import { contract, event, failure, families, texts, turn } from "./world.js";

/** The warnings of a socket, as they come. */
function warnings(s: Socket): Warning[] {
  const found: Warning[] = [];
  s.on("warning", (warning) => found.push(warning));
  return found;
}

for (const [name, family] of families) {
  // semantics: warning-bound
  contract(
    `a group that is joined on a socket bound to one address over ${name} is a warning`,
    async (world) => {
      const s = await world.bound(family);
      const group = freshGroup(s);
      const warned = event(s, "warning");
      s.addMembership(group, world.loopback);
      const { code, message } = await warned;
      expect(code).toBe("JOINED_BUT_BOUND");
      expect(message).toBe(
        `this socket is bound to ${world.localhost(family)} and receives nothing that is sent to ${group}: bind it to "" or to ${group}`,
      );
    },
  );

  // semantics: warning-bound
  contract(`binding to one address after joining over ${name} is a warning`, async (world) => {
    const s = world.socket(family);
    s.addMembership(freshGroup(s), world.loopback);
    const warned = event(s, "warning");
    await s.bind([world.localhost(family), 0]);
    expect((await warned).code).toBe("JOINED_BUT_BOUND");
  });
}

// semantics: warning-bound
contract("joining from a source on a socket bound to one address is a warning", async (world) => {
  const s = await world.bound();
  const warned = event(s, "warning");
  s.addSourceMembership(world.localhost(), freshGroup(s), world.loopback);
  expect((await warned).code).toBe("JOINED_BUT_BOUND");
});

// semantics: warning-bound
contract("connecting a socket that has joined a group is a warning, before and after", async (world) => {
  const peer = await world.bound();
  const [before, after] = [world.socket(), world.socket()];
  const group = freshGroup(before);
  before.addMembership(group, world.loopback);
  const first = event(before, "warning");
  await before.connect(peer.getsockname());
  expect(await first).toEqual({
    code: "JOINED_BUT_CONNECTED",
    message: `this socket is connected, and receives from its peer only, nothing sent to ${group}: join the group on another socket`,
  });
  await after.connect(peer.getsockname());
  const second = event(after, "warning");
  after.addMembership(group, world.loopback);
  expect((await second).code).toBe("JOINED_BUT_CONNECTED");
});

// semantics: warning-connected
contract("waiting on a socket that is connected to a group is a warning, once", async (world) => {
  const { sender, group, port } = await meet(world);
  const found = warnings(sender);
  await sender.connect([group, port]);
  await sender.send("hello");
  await turn(sender);
  expect(found).toEqual([]);
  for (let count = 0; count < 2; count++)
    expect((await failure(sender.recv(64, { timeoutMs: 1 }))).code).toBe("ETIMEDOUT");
  expect(found.map(({ code }) => code)).toEqual(["CONNECTED_TO_GROUP"]);
  expect(found[0]?.message).toContain(group);
  expect(found[0]?.message).toContain("sendto()");
});

// semantics: warning-connected
contract(
  "a call that already waits causes a warning when the socket is connected to a group",
  async (world) => {
    const { sender, group, port } = await meet(world);
    const [warned, waiting] = [event(sender, "warning"), failure(sender.recv(64))];
    await sender.connect([group, port]);
    expect((await warned).code).toBe("CONNECTED_TO_GROUP");
    await sender.close();
    expect((await waiting).code).toBe("ECANCELED");
  },
);

// semantics: warning-bound
contract("a group that can be received causes no warning", async (world) => {
  const { receiver, sender, group } = await meet(world);
  const [onGroup, left] = [world.socket(), world.socket()];
  const found = [receiver, sender, onGroup, left].map(warnings);
  receiver.addMembership(group, world.loopback);
  await onGroup.bind([group, 0]);
  onGroup.addMembership(group, world.loopback);
  left.addMembership(group, world.loopback);
  left.addSourceMembership(world.localhost(), group, world.loopback);
  left.dropSourceMembership(world.localhost(), group, world.loopback);
  await left.bind([world.localhost(), 0]);
  await sender.connect(left.getsockname());
  await sender.send("to one host");
  expect(await texts(left, 1)).toEqual(["to one host"]);
  expect(found.flat()).toEqual([]);
});

// semantics: warning-bound
contract("a group that causes the warning is really not received", async (world) => {
  const { sender, group } = await meet(world);
  for (const family of [AF_INET, AF_INET6] as const) {
    const s = world.socket(family);
    await s.bind([family === AF_INET ? world.localhost() : `::ffff:${world.localhost()}`, 0]);
    const found = warnings(s);
    s.addMembership(group, world.loopback);
    const { port } = s.getsockname();
    await sender.sendto("to the group", [group, port]);
    await sender.sendto("to the host", [world.localhost(), port]);
    expect(await texts(s, 1)).toEqual(["to the host"]);
    expect(found.map(({ code }) => code)).toEqual(["JOINED_BUT_BOUND"]);
  }
});

// semantics: warning-process
contract("a warning is a message of the channel datagram:warning, and fails no call", async (world) => {
  const s = await world.bound();
  const found: unknown[] = [];
  const hear = (message: unknown): void => void found.push(message);
  subscribe("datagram:warning", hear);
  try {
    const told = event(s, "warning");
    s.addMembership(freshGroup(s), world.loopback);
    const message = await told;
    await turn(s);
    expect(found).toEqual([{ socket: s, message }]);
  } finally {
    unsubscribe("datagram:warning", hear);
  }
});

// semantics: no-such-event
contract("a listener for an event of node:dgram is a warning that says what to do instead", async (world) => {
  for (const [name, instead] of [
    ["message", /for await \(const datagram of s\)" or recvfrom\(\), which also keep the process running/],
    ["listening", /await s\.bind\(address\)/],
    ["connect", /await s\.connect\(address\)/],
    ["close", /await s\.close\(\)/],
  ] as const) {
    for (const add of ["on", "once", "addListener", "prependListener", "prependOnceListener"] as const) {
      const s = world.socket();
      const found = warnings(s);
      s[add](name as never, () => undefined);
      await turn(s);
      expect(found, `${add} ${name}`).toEqual([
        { code: "NO_SUCH_EVENT", message: expect.stringMatching(instead) as string },
      ]);
      expect(found[0]?.message).toContain(`no event "${name}"`);
    }
  }
});

// semantics: no-such-event
contract("the events of a socket, and events of the program's own, are no warning", async (world) => {
  const s = world.socket();
  const found = warnings(s);
  s.on("truncated", () => undefined).once("dropped", () => undefined);
  s.on("my own event" as never, () => undefined);
  // `once` of node:events adds a listener for "error" too.
  const refused = once(s, "unreachable", { signal: AbortSignal.abort() });
  await expect(refused).rejects.toMatchObject({ name: "AbortError" });
  void once(s, "pathMtu").catch(() => undefined);
  await turn(s);
  expect(found).toEqual([]);
});

// semantics: no-such-event
contract("TypeScript refuses the names of other events", (world) => {
  const s = world.socket();
  const listener = (): void => undefined;
  // @ts-expect-error: datagrams are read with calls
  s.on("message", listener);
  // @ts-expect-error: there is no event "listening"
  s.once("listening", listener);
  // @ts-expect-error: there is no event "error"
  s.addListener("error", listener);
  // @ts-expect-error: there is no event "close"
  s.prependListener("close", listener);
  // @ts-expect-error: there is no event "connect"
  s.prependOnceListener("connect", listener);
  // @ts-expect-error: there is no event "message"
  s.off("message", listener);
  // @ts-expect-error: there is no event "message"
  s.removeListener("message", listener);
  // @ts-expect-error: the argument of the listener has the type of the event
  s.on("unreachable", (report: { nothing: string }) => report.nothing);
  s.on("unreachable", ({ destination }) => destination?.host);
  expect(s.listenerCount("unreachable")).toBe(2);
});
