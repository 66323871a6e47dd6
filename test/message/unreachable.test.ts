/** Paths that are down for a while: ICMP errors that may pass end nothing, and are the reason if the time is over. */

import { IPPROTO_IP, IP_TTL, type Socket, TimeoutError } from "datagram";
import { MessageError, type Messages, messages, probePathMtu, request } from "datagram/message";
import { type Host, Network } from "datagram/sim";
import { describe, expect, test } from "vitest";

import { isTransientIcmp } from "../../src/core/driver/icmp.js";
import { collect, desk, next, pattern, sleep } from "./tools.js";

interface Ends {
  readonly network: Network;
  readonly hosts: readonly [camera: Host, desk: Host];
  readonly sockets: readonly [camera: Socket, desk: Socket];
  /** Whether the router forwards what the camera sends. Otherwise it reports each packet as "TTL exceeded in transit". */
  setPath(isUp: boolean): void;
}

/** Runs a program with a camera and a desk on both sides of a router. */
async function throughRouter(program: (ends: Ends) => Promise<void>): Promise<void> {
  const network = new Network({ seed: 1 });
  const hosts = [
    network.host("camera", { address: "10.1.0.1" }),
    network.host("desk", { address: desk[0] }),
  ] as const;
  const router = network.router("gateway", { address: "10.1.0.254" });
  network.link(hosts[0], router, { latencyMs: 5 });
  network.link(router, hosts[1], { latencyMs: 5, rateBps: 2_000_000 });
  await network.run(async () => {
    const sockets = [hosts[0].socket(), hosts[1].socket()] as const;
    await sockets[1].bind(desk);
    const setPath = (isUp: boolean): void => sockets[0].setsockopt(IPPROTO_IP, IP_TTL, isUp ? 64 : 1);
    await program({ network, hosts, sockets, setPath });
  });
}

/** Waits for the failure of a call. */
async function failureOf(call: Promise<unknown>): Promise<MessageError> {
  return await call.then(
    () => expect.unreachable("the call succeeded"),
    (reason) => reason as MessageError,
  );
}

const reason = "it cannot be reached (TTL exceeded in transit, from 10.1.0.254) (EHOSTUNREACH)";

describe.each(["an unconnected", "a connected"])("messages on %s socket", (kind) => {
  async function messagesOf({ sockets: [s, r] }: Ends, giveUpMs?: number): Promise<[Messages, Messages]> {
    if (kind === "a connected") await s.connect(desk);
    return [messages(s, { giveUpMs }), messages(r)];
  }

  test("a message arrives once and intact although its path is down for 4 s", async () => {
    await throughRouter(async (ends) => {
      const [m, n] = await messagesOf(ends);
      const arrived = collect(n);
      const data = pattern(200_000);
      const sending = m.send(data, desk);
      await sleep(200);
      ends.setPath(false);
      await sleep(4000);
      expect(arrived).toEqual([]);
      ends.setPath(true);
      const { elapsedMs } = await sending;
      expect(elapsedMs).toBeGreaterThan(4000);
      expect(arrived.map(({ data: bytes }) => bytes.equals(data))).toEqual([true]);
      expect(ends.sockets[0].stats().unreachable).toEqual({ EHOSTUNREACH: expect.any(Number) as number });
    });
  });

  test("a message whose path stays down fails after giveUpMs, with the ICMP error as the reason", async () => {
    await throughRouter(async (ends) => {
      const [m] = await messagesOf(ends, 3000);
      ends.setPath(false);
      const start = ends.network.clock.now();
      const error = await failureOf(m.send("hello", desk));
      expect(error).toBeInstanceOf(MessageError);
      expect(error).toMatchObject({ code: "EHOSTUNREACH", chunks: 1, arrivedChunks: 0 });
      expect(error.message).toBe(
        `send 10.0.0.2:9000: 0 of 1 chunks of 5 bytes arrived, and no report said more for giveUpMs, 3000 ms: ${reason}`,
      );
      expect(ends.network.clock.now() - start).toBeGreaterThanOrEqual(3000);
    });
  });

  test("a request is answered although its path is down at first", async () => {
    await throughRouter(async (ends) => {
      const [m, n] = await messagesOf(ends);
      n.serve(({ data }) => `${data.toString()}!`);
      ends.setPath(false);
      setTimeout(() => ends.setPath(true), 4000);
      expect((await m.request("hello", desk)).data.toString()).toBe("hello!");
      expect(ends.network.clock.now()).toBeGreaterThan(4000);
    });
  });

  test("a request whose path stays down fails after timeoutMs, with the ICMP error as the reason", async () => {
    await throughRouter(async (ends) => {
      const [m] = await messagesOf(ends);
      ends.setPath(false);
      const error = await failureOf(m.request("hello", desk, { timeoutMs: 3000 }));
      expect(error).toBeInstanceOf(MessageError);
      expect(error).toMatchObject({ code: "EHOSTUNREACH", syscall: "request", arrivedChunks: 0 });
      expect(error.message).toBe(
        "request 10.0.0.2:9000: the request did not arrive: " +
          `0 of 1 chunks of 5 bytes arrived within timeoutMs, 3000 ms: ${reason}`,
      );
    });
  });
});

test("an ICMP error before the last datagram of the peer is not the reason of a later failure", async () => {
  await throughRouter(async ({ sockets: [s, r], network, setPath }) => {
    const [m, n] = [messages(s), messages(r)];
    n.serve(() => new Promise(() => undefined));
    setPath(false);
    setTimeout(() => setPath(true), 2500);
    const error = await failureOf(m.request("hello", desk, { timeoutMs: 8000 }));
    expect(error.message).toBe(
      "request 10.0.0.2:9000: the request arrived, and its reply did not within timeoutMs, 8000 ms (ETIMEDOUT)",
    );
    expect(network.clock.now()).toBeGreaterThanOrEqual(8000);
  });
});

// semantics: request-path-down
test("a plain request is answered although its path is down at first, and else fails with the reason", async () => {
  await throughRouter(async ({ sockets: [s, r], network, setPath }) => {
    void (async () => {
      for await (const { data, source } of r) await r.sendto(data, source);
    })();
    setPath(false);
    setTimeout(() => setPath(true), 3000);
    expect((await request(s, "hello", desk)).data.toString()).toBe("hello");
    expect(network.clock.now()).toBeGreaterThan(3000);
    setPath(false);
    const error = await failureOf(request(s, "hello", desk, { ackTimeoutMs: 100, maxRetransmit: 2 }));
    expect(error).not.toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({ code: "EHOSTUNREACH", syscall: "request", port: desk[1] });
    expect(error.message).toMatch(/^request 10\.0\.0\.2:9000: no answer in \d+ ms, it was sent 3 times: /);
    expect(error.message.endsWith(reason)).toBe(true);
  });
});

test("a message and a request to a network without a route wait for one", async () => {
  const network = new Network({ seed: 1 });
  const camera = network.host("camera", { address: "10.1.0.1" });
  const router = network.router("gateway", { address: "10.1.0.254" });
  network.link(camera, router);
  await network.run(async () => {
    const s = camera.socket();
    const m = messages(s);
    const reports: string[] = [];
    s.on("unreachable", ({ code, kind }) => reports.push(`${code}: ${kind}`));
    const answered = Promise.all([m.send("a message", desk), m.request("a request", desk)]);
    await sleep(2500);
    expect(reports.slice(0, 1)).toEqual(["ENETUNREACH: network unreachable"]);
    const other = network.host("desk", { address: desk[0] });
    network.link(router, other);
    const r = other.socket();
    await r.bind(desk);
    const n = messages(r);
    n.serve(({ data }) => `${data.toString()}!`);
    const arrived = next(n);
    const [, reply] = await answered;
    expect([(await arrived).data.toString(), reply.data.toString()]).toEqual(["a message", "a request!"]);
  });
});

test("a message without a route of its own host fails at once", async () => {
  const network = new Network({ seed: 1 });
  const alone = network.host("alone", { address: "10.1.0.1" });
  await network.run(async () => {
    const error = await failureOf(messages(alone.socket()).send("hello", desk));
    expect(error).toBeInstanceOf(MessageError);
    expect(error).toMatchObject({ code: "ENETUNREACH", chunks: 1, arrivedChunks: 0 });
    expect(network.clock.now()).toBeLessThan(100);
  });
});

test.each([
  ["ENETUNREACH", "network unreachable", true],
  ["EHOSTUNREACH", "host unreachable", true],
  ["ENETUNREACH", "no route to destination", true],
  ["EHOSTUNREACH", "address unreachable", true],
  ["EHOSTUNREACH", "hop limit exceeded in transit", true],
  ["EHOSTUNREACH", undefined, true],
  ["ECONNREFUSED", "port unreachable", false],
  ["ECONNREFUSED", undefined, false],
  ["EHOSTUNREACH", "communication prohibited", false],
  ["ENETUNREACH", "network prohibited", false],
  ["EACCES", undefined, false],
  ["EPROTO", "parameter problem", false],
] as const)("the ICMP error %s, %s may pass: %s", (code, kind, mayPass) => {
  expect(isTransientIcmp(code, kind)).toBe(mayPass);
});

describe("a search of the path MTU", () => {
  test.for([false, true])(
    "a path that comes back does not end the search, connected: %s",
    async (connected) => {
      await throughRouter(async ({ sockets: [s, peer], setPath }) => {
        void (async () => {
          for await (const datagram of peer) await datagram.reply(datagram.data);
        })();
        if (connected) await s.connect(desk);
        setPath(false);
        const outcomes: string[] = [];
        const onProbe = ({ outcome }: { outcome: string }): void => {
          outcomes.push(outcome);
          if (outcomes.length === 2) setPath(true);
        };
        const { maxPayload, lost } = await probePathMtu(s, desk, { onProbe, timeoutMs: 100 });
        expect({ maxPayload, lost }).toEqual({ maxPayload: 1472, lost: 2 });
        expect(outcomes.slice(0, 3)).toEqual(["lost", "lost", "answered"]);
        // Sizes do not count as too big because the path is down.
        const later = probePathMtu(s, desk, {
          onProbe: ({ outcome }) => setPath(outcome !== "answered"),
          timeoutMs: 100,
        });
        expect(await later).toMatchObject({ maxPayload: 1472, blackHole: false });
      });
    },
  );

  test.for([false, true])(
    "a path that stays down ends it with the ICMP error, connected: %s",
    async (connected) => {
      await throughRouter(async ({ sockets: [s], setPath }) => {
        if (connected) await s.connect(desk);
        setPath(false);
        const sizes: number[] = [];
        const onProbe = ({ size }: { size: number }): void => void sizes.push(size);
        const failure = await failureOf(probePathMtu(s, desk, { onProbe, timeoutMs: 100 }));
        expect(failure).toMatchObject({ code: "EHOSTUNREACH", syscall: "probePathMtu" });
        expect(failure.message).toContain(reason);
        expect(sizes).toEqual([1200, 1200, 1200]);
      });
    },
  );
});
