/** From `crash()` to `restart()` no packet leaves a host, and nothing of the time before stays. */

import { AF_INET6, SOL_SOCKET, SO_REUSEADDR } from "datagram";
import { Network } from "datagram/sim";
import { expect, test } from "vitest";

import { type Chain, bytes, chain, failure, fates, heard, packetsOn, pause } from "./tools.js";

const camera = ["10.9.0.2", 9000] as const;

/** The outcome of each promise: `"sent"`, or the code of its error. */
async function endings(promises: readonly Promise<unknown>[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const outcome of await Promise.allSettled(promises)) {
    const how = outcome.status === "fulfilled" ? "sent" : (outcome.reason as { code: string }).code;
    counts[how] = (counts[how] ?? 0) + 1;
  }
  return counts;
}

/** The shortest possible wait, 0.1 ms. A socket waits as long after it has sent 1,024 datagrams. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The number of datagrams that left the desk so far. */
function left({ network }: Chain): number {
  return packetsOn(network, "desk→camera").length;
}

test("of 9,000 datagrams that wait, those that had not left at a crash fail with ECANCELED, and never leave", async () => {
  const world = chain(4, { latencyMs: 1 });
  const { network, desk } = world;
  await network.run(async () => {
    const s = desk.socket();
    const sends = Array.from({ length: 9000 }, (_, index) => s.sendto(`${index}`, camera));
    const ended = endings(sends);
    await turn();
    const before = left(world);
    desk.crash();
    expect(await ended).toEqual({ sent: before, ECANCELED: 9000 - before });
    expect(before).toBeGreaterThan(1000);
    expect(before).toBeLessThan(8000);
    await pause(10_000);
    desk.restart();
    await pause(10_000);
    expect(left(world)).toBe(before);
    expect(desk.stats().sent.datagrams).toBe(before);
  });
});

test("the error of such a datagram says that the host crashed", async () => {
  const { network, desk } = chain(4, {});
  await network.run(async () => {
    const s = desk.socket();
    void Promise.all(Array.from({ length: 9000 }, () => s.sendto("x", camera))).catch(() => undefined);
    const last = failure(s.sendto("last", camera));
    await turn();
    desk.crash();
    expect(await last).toMatchObject({
      code: "ECANCELED",
      message: "sendto 10.9.0.2:9000: its host crashed (ECANCELED)",
    });
  });
});

test("the error of sendMany has the number of datagrams that had left", async () => {
  const world = chain(4, {});
  const { network, desk } = world;
  await network.run(async () => {
    const s = desk.socket();
    const sending = failure(
      s.sendMany(
        Array.from({ length: 10_000 }, () => "x"),
        camera,
      ),
    );
    await network.eventually(() => left(world) > 1024, { everyMs: 0.1 });
    desk.crash();
    const sent = left(world);
    expect(await sending).toMatchObject({ code: "ECANCELED", index: sent, sent });
    await pause(10_000);
    expect(left(world)).toBe(sent);
  });
});

test("a socket that is being closed sends nothing after a crash either", async () => {
  const world = chain(4, {});
  const { network, desk } = world;
  await network.run(async () => {
    const s = desk.socket();
    await s.bind(["", 9000]);
    const ended = endings(Array.from({ length: 9000 }, () => s.sendto("x", camera)));
    const closing = s.close();
    await turn();
    const before = left(world);
    desk.crash();
    await closing;
    expect(await ended).toEqual({ sent: before, ECANCELED: 9000 - before });
    expect(before).toBeLessThan(9000);
    desk.restart();
    await desk.socket().bind(["", 9000]);
    await pause(10_000);
    expect(left(world)).toBe(before);
  });
});

test("the ports and groups of a host are free at once after restart, even if calls waited on its sockets", async () => {
  const { network, desk } = chain(4, {});
  await network.run(async () => {
    const s = desk.socket();
    await s.bind(["", 9000]);
    s.addMembership("239.1.2.3");
    const ended = endings(Array.from({ length: 9000 }, () => s.sendto("x", camera)));
    const bound = desk.socket();
    const connected = desk.socket();
    void connected
      .sendMany(
        Array.from({ length: 9000 }, () => "x"),
        camera,
      )
      .catch(() => undefined);
    // This call waits for those sends, so it would run after the crash.
    const late = [failure(connected.connect(camera))];
    await turn();
    late.push(failure(bound.bind(["", 9001])));
    desk.crash();
    desk.restart();
    const fresh = [desk.socket(), desk.socket()];
    await fresh[0]!.bind(["", 9000]);
    await fresh[1]!.bind(["", 9001]);
    // The group has no members: a datagram to it reaches no socket.
    await fresh[1]!.sendto("x", ["239.1.2.3", 9000]);
    await pause(10);
    expect(fates(network, "desk eth0 loop")).toEqual({ "nobody listens": 1 });
    for (const each of late) expect(await each).toMatchObject({ code: "ECANCELED" });
    expect(await ended).toMatchObject({ ECANCELED: expect.any(Number) as number });
  });
});

test("packets that wait for the rate of a link are lost, and for the restarted host the link is free", async () => {
  // 1,000 bytes take 10 ms.
  const world = chain(4, { rateBps: 800_000, latencyMs: 5 });
  const { network, desk, camera: host } = world;
  await network.run(async () => {
    const r = host.socket();
    await r.bind(["", 9000]);
    const all = heard(r);
    const s = desk.socket();
    for (let count = 0; count < 10; count++) await s.sendto(bytes(972), camera);
    await pause(35);
    desk.crash();
    await pause(200);
    expect(all).toHaveLength(3);
    expect(fates(network, "desk→camera")).toEqual({ delivered: 3, "lost in a crash": 7 });
    desk.restart();
    await desk.socket().sendto(bytes(972), camera);
    await pause(100);
    expect(all).toHaveLength(4);
  });
  const last = packetsOn(network, "desk→camera").at(-1)!;
  expect(last.arrivedMs! - last.sentMs).toBe(15);
  expect(packetsOn(network)[5]!.arrivedMs).toBeUndefined();
});

test("timers of the program continue, and find the sockets closed; a new socket is ENETDOWN until restart", async () => {
  const world = chain(4, {});
  const { network, desk } = world;
  await network.run(async () => {
    const s = desk.socket();
    const codes: string[] = [];
    const note = ({ code }: { code: string }): unknown => codes.push(code);
    const timer = setInterval(() => {
      s.sendto("x", camera).catch(note);
      try {
        void desk.socket();
      } catch (error) {
        note(error as { code: string });
      }
    }, 10);
    await pause(25);
    const before = left(world);
    desk.crash();
    await pause(30);
    expect(codes).toEqual(["ENETDOWN", "EBADF", "ENETDOWN", "EBADF", "ENETDOWN", "EBADF"]);
    desk.restart();
    codes.length = 0;
    await pause(25);
    clearInterval(timer);
    expect(new Set(codes)).toEqual(new Set(["EBADF"]));
    expect([before, left(world)]).toEqual([2, 2]);
  });
});

test("if a rule crashes the host during a batch, and during a datagram, nothing more leaves the host", async () => {
  const { network, desk, links } = chain(4, {});
  let seen = 0;
  links[0]!.drop(() => {
    if (++seen === 5) desk.crash();
    return false;
  });
  await network.run(async () => {
    const s = desk.socket();
    // Each datagram has three fragments: the fifth is in the middle of the second datagram.
    const ended = endings(Array.from({ length: 4 }, () => s.sendto(bytes(4000), camera)));
    expect(await ended).toEqual({ sent: 2, ECANCELED: 2 });
    await pause(1000);
  });
  expect(packetsOn(network, "desk→camera")).toHaveLength(5);
});

test("if a listener crashes the host while a datagram arrives at several sockets, all of them are closed", async () => {
  const network = new Network();
  const [near, far] = [
    network.host("near", { address: "fd00::1" }),
    network.host("far", { address: "fd00::2" }),
  ];
  network.link(near, far);
  await network.run(async () => {
    const sockets = [far.socket(AF_INET6), far.socket(AF_INET6)];
    for (const each of sockets) {
      each.setsockopt(SOL_SOCKET, SO_REUSEADDR, true);
      await each.bind(["::", 9000]);
      each.addMembership("ff02::77");
    }
    sockets[0]!.tap(() => far.crash());
    const waits = sockets.map((each) => each.recv(10).then(String, ({ code }: { code: string }) => code));
    await near.socket(AF_INET6).sendto("x", ["ff02::77", 9000]);
    expect(await waits[1]).toBe("ECANCELED");
    expect(far.isUp).toBe(false);
  });
});
