/**
 * Three servers of NATS on this machine, a stream with three replicas, a gateway and a sender. Each server is killed once, with
 * `kill -9`, while datagrams come in. At the end, the account of the gateway is compared with what the stream has.
 *
 * Needs `nats-server` (Debian: `apt-get install nats-server`) and `npm install @nats-io/transport-node`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { connect } from "@nats-io/transport-node";
import { socket } from "datagram";
import { type Gateway, consume, gateway } from "datagram/gateway";

/** Datagrams that are sent before, during and after each failure. */
const perStep = 500;
const stream = "fleet";
/** How long the cluster may take to elect a leader, or to bring a server up to date. */
const patienceMs = 120_000;

const folder = mkdtempSync(join(tmpdir(), "datagram-fleet-"));
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };

/** A TCP port that is free now. */
async function freePort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, "close");
  return port;
}

/** Repeats a step until it succeeds. */
async function patiently<T>(what: string, step: () => Promise<T | undefined>): Promise<T> {
  let why: unknown;
  for (const end = Date.now() + patienceMs; Date.now() < end;) {
    try {
      const result = await step();
      if (result !== undefined) return result;
    } catch (error) {
      why = error;
    }
    await sleep(200);
  }
  throw new Error(`${what}: not within ${patienceMs / 1000} s`, { cause: why });
}

const ports = await Promise.all(Array.from({ length: 6 }, freePort));
const [clients, routes] = [ports.slice(0, 3), ports.slice(3)];
const urls = clients.map((port) => `nats://127.0.0.1:${port}`);
const servers: (ChildProcess | undefined)[] = [];

function start(index: number): void {
  const args = ["-a", "127.0.0.1", "-p", String(clients[index]), "--name", `server${index + 1}`];
  const storage = ["-js", "-sd", join(folder, `server${index + 1}`)];
  const cluster = ["--cluster_name", "fleet", "--cluster", `nats://127.0.0.1:${routes[index]}`];
  const others = ["--routes", routes.map((port) => `nats://127.0.0.1:${port}`).join(",")];
  const child = spawn("nats-server", [...args, ...storage, ...cluster, ...others], { env, stdio: "ignore" });
  child.on("error", (error) => {
    console.error(`cannot start nats-server: ${error.message}`);
    process.exit(1);
  });
  servers[index] = child;
}

async function kill(index: number): Promise<void> {
  const child = servers[index];
  if (child?.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

interface StreamInfo {
  readonly cluster?: {
    readonly leader?: string;
    readonly replicas?: readonly { readonly current: boolean; readonly offline?: boolean }[];
  };
}

/** Waits until all three servers have everything. Returns the name of the leader. */
async function complete(): Promise<string> {
  const nats = await connect({ servers: urls, maxReconnectAttempts: -1 });
  try {
    return await patiently("three complete replicas", async () => {
      const { cluster } = (await nats.request(`$JS.API.STREAM.INFO.${stream}`)).json<StreamInfo>();
      const { leader, replicas = [] } = cluster ?? {};
      const isComplete = replicas.length === 2 && replicas.every((each) => each.current && !each.offline);
      return isComplete ? leader : undefined;
    });
  } finally {
    await nats.close();
  }
}

const from = socket();
await from.bind(["127.0.0.1", 0]);
let sent = 0;

/** Sends numbered datagrams, few at a time, so that the kernel drops none. */
async function send(running: Gateway, to: readonly [string, number]): Promise<void> {
  for (const end = sent + perStep; sent < end;) {
    await from.sendMany(
      Array.from({ length: 10 }, () => Buffer.from(`datagram ${sent++}`)),
      to,
    );
    while (running.stats().received < sent) await sleep(1);
    await sleep(5);
  }
}

process.exitCode = 1;
try {
  for (const index of clients.keys()) start(index);
  const s = socket();
  await s.bind(["127.0.0.1", 0]);
  const options = { nats: urls, stream, create: { replicas: 3 }, ackTimeoutMs: 1000, drainMs: patienceMs };
  const running = await patiently("a stream with three replicas", () => gateway(s, options));
  console.log(`three servers, and a gateway at ${s.getsockname()}`);
  const to = ["127.0.0.1", s.getsockname().port] as const;
  for (const index of clients.keys()) {
    const leader = await complete();
    await send(running, to);
    const role = leader === `server${index + 1}` ? "the leader of the stream" : "a follower";
    console.log(`${sent} sent; server ${index + 1}, ${role}, is killed`);
    await kill(index);
    await send(running, to);
    start(index);
    await send(running, to);
  }
  await complete();
  await running.close();
  const { received, stored, shed, refused, inFlight, resent } = running.stats();
  // A cluster that has just changed may not answer in time.
  const texts = await patiently("the datagrams of the stream", async () => {
    const found: string[] = [];
    for await (const { data } of consume({ nats: urls, stream, until: "now" })) found.push(String(data));
    return found;
  });
  const different = new Set(texts).size;
  console.log(`sent       ${sent}`);
  console.log(
    `received   ${received} = ${stored} stored + ${shed} shed + ${refused} refused + ${inFlight} in flight`,
  );
  console.log(`sent again ${resent}`);
  console.log(`the stream ${texts.length} datagrams, ${different} different`);
  const isGood =
    received === stored + shed + refused + inFlight && stored === texts.length && stored === different;
  console.log(isGood ? "what was acknowledged is there, once" : "the account is WRONG");
  if (isGood) process.exitCode = 0;
  await s.close();
} finally {
  await from.close();
  for (const index of clients.keys()) await kill(index);
  rmSync(folder, { recursive: true, force: true });
}
