/** `datagram gateway --workers` with a real server of NATS. */

import { type TestContext, afterAll, beforeAll, describe, expect, test } from "vitest";

import { type NatsConnection, connect } from "@nats-io/transport-node";

import type { Socket } from "datagram";
import { type AnswerResult, peerToken } from "datagram/gateway";
import { type Program, datagram } from "../cli/program.js";
import { children } from "./children.js";
import { NatsServer, noServer } from "./nats.js";
import { bound } from "./sending.js";

interface Counts {
  readonly received: number;
  readonly stored: number;
  readonly workers: { readonly running: number; readonly died: number };
}

describe.skipIf(noServer !== undefined)("workers of datagram gateway", () => {
  let server: NatsServer;
  let nats: NatsConnection;
  beforeAll(async () => {
    server = await NatsServer.start();
    nats = await connect({ servers: server.url.slice("nats://".length) });
  });
  afterAll(async () => {
    await nats.close();
    await server.close();
  });

  /** Starts the command with workers at a free port. */
  async function start(t: TestContext, ...args: readonly string[]): Promise<[Program, number]> {
    const program = datagram(t, ["gateway", "0", "--nats", server.url, "--create", ...args]);
    const [, port] = /^listening on .*:(\d+), with \d workers$/.exec(await program.line("stderr")) ?? [];
    await program.line("stderr");
    return [program, Number(port)];
  }

  /** Sends a datagram from each of several new sockets. The kernel chooses a worker for each. */
  async function sendFromMany(t: TestContext, port: number, count: number): Promise<Socket[]> {
    const sockets = await Promise.all(Array.from({ length: count }, () => bound(t)));
    await Promise.all(sockets.map((s) => s.sendto("hello", ["127.0.0.1", port])));
    return sockets;
  }

  /** Reads the counts until they are as wanted. */
  async function until(program: Program, isWanted: (counts: Counts) => boolean): Promise<Counts> {
    for (;;) {
      const counts = JSON.parse(await program.line("stdout")) as Counts;
      if (isWanted(counts)) return counts;
    }
  }

  test("share a port, have one account, and answer each peer that one of them has seen", async (t) => {
    const [program, port] = await start(t, "--workers", "3", "--stream", "shared", "--json");
    const peers = await sendFromMany(t, port, 40);
    await until(program, ({ stored, workers }) => stored === 40 && workers.running === 3);
    const source = `127.0.0.1:${port}`;
    const asked = peers.map(async (peer) => {
      const subject = `datagram.${port}.${peerToken(peer.getsockname())}.reply`;
      for (;;) {
        const told = (await nats.request(subject, "hi", { timeout: 30_000 })).json<AnswerResult>();
        // A worker that the machine stops for a second may not say whether it has seen the peer, or whether it sent the answer.
        const isSilent = told.code === "ETIMEDOUT";
        expect(told).toMatchObject(isSilent ? { sent: told.sent } : { sent: true, source });
        if (told.sent !== false) return;
      }
    });
    await Promise.all(asked);
    for (const peer of peers) expect((await peer.recvfrom(64))[0].toString()).toBe("hi");
    program.child.kill("SIGINT");
    const { code, stderr } = await program.ended;
    expect(stderr).toContain("40 datagrams received\n  stored: 40\n  shed: 0\n  refused: 0\n");
    expect(stderr).toContain("  answers sent: 40\n");
    expect(code).toBe(0);
    const runs = (await server.messages("shared")).map(({ headers }) =>
      headers.get("Nats-Msg-Id")?.slice(0, 12),
    );
    expect(new Set(runs).size).toBeGreaterThan(1);
  });

  test("one that is killed is told, counted and started again, and its account stays", async (t) => {
    const [program, port] = await start(t, "--workers", "2", "--stream", "killed", "--json");
    await sendFromMany(t, port, 20);
    await until(program, ({ stored }) => stored === 20);
    const [victim] = children(program.child.pid ?? 0);
    process.kill(victim ?? 0, "SIGKILL");
    expect(await program.line("stderr")).toMatch(
      /^worker [12] was ended by SIGKILL: it starts again in 0.25 s$/,
    );
    expect(await program.line("stderr")).toMatch(/^worker [12] runs again$/);
    await sendFromMany(t, port, 20);
    const counts = await until(program, ({ stored }) => stored === 40);
    expect(counts).toMatchObject({ received: 40, workers: { running: 2, died: 1 } });
    program.child.kill("SIGTERM");
    const { code, stderr } = await program.ended;
    expect(stderr).toContain("40 datagrams received\n  stored: 40\n");
    expect(stderr).toContain("  workers that died: 1\n");
    expect(code).toBe(1);
  });

  test("drain at the end, as Ctrl-C on a terminal ends them all at once", async (t) => {
    const [program, port] = await start(
      t,
      "--workers",
      "2",
      "--stream",
      "drained",
      "--drain",
      "60s",
      "--json",
    );
    await server.signal("SIGSTOP");
    t.onTestFinished(() => server.signal("SIGCONT"));
    await sendFromMany(t, port, 20);
    await until(program, ({ received }) => received === 20);
    const workers = children(program.child.pid ?? 0);
    expect(workers).toHaveLength(2);
    for (const pid of workers) process.kill(pid, "SIGINT");
    program.child.kill("SIGINT");
    await server.signal("SIGCONT");
    const { code, stderr } = await program.ended;
    expect(stderr).toContain("20 datagrams received\n  stored: 20\n");
    expect(code).toBe(0);
  });

  test("that are killed at the end are deaths, and the command fails", async (t) => {
    const [program] = await start(t, "--workers", "2", "--stream", "late", "--drain", "1ms");
    const workers = children(program.child.pid ?? 0);
    for (const pid of workers) process.kill(pid, "SIGSTOP");
    program.child.kill("SIGINT");
    const { code, stderr } = await program.ended;
    expect(stderr).toContain("  workers that died: 2\n");
    expect(code).toBe(1);
  });

  test("end when the command itself is killed", async (t) => {
    const [program] = await start(t, "--workers", "2", "--stream", "orphans");
    const workers = children(program.child.pid ?? 0);
    expect(workers).toHaveLength(2);
    program.child.kill("SIGKILL");
    const isGone = (pid: number): boolean => {
      try {
        process.kill(pid, 0);
        return false;
      } catch {
        return true;
      }
    };
    await expect.poll(() => workers.every(isGone), { timeout: 60_000 }).toBe(true);
  });

  test("fail as the command does without workers, and not for groups", async (t) => {
    const args = ["--workers", "2", "--nats", server.url];
    const missing = datagram(t, ["gateway", "0", "--stream", "missing", ...args]);
    expect(await missing.ended).toMatchObject({
      code: 1,
      stderr: "datagram gateway: there is no stream missing: --create creates it\n",
    });
    const group = datagram(t, ["gateway", "239.1.2.3:9000", "--stream", "groups", ...args]);
    expect(await group.ended).toMatchObject({
      code: 2,
      stderr: "datagram gateway: --workers is not for a group: each worker would receive each datagram\n",
    });
  });
});
