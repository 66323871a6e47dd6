/**
 * Answers to many peers through `datagram gateway`, while their datagrams come in:
 *
 *     npm run bench:answers -- [rounds, 3] [workers, 1] [peers, 1000] [datagrams a second, 50000] [answers a second, 1000]
 *         [datagrams in a burst, 1] [seconds, 10] [bundles, 0]
 *
 * Each peer is a socket of another process and sends bursts of 200 bytes in turn. A requester publishes answers to the peers in turn, and
 * waits for what the gateway says. It prints what became of the datagrams and of the answers, and the CPU time of each process.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";

import { connect } from "@nats-io/transport-node";
import { socket } from "datagram";
import { peerToken } from "datagram/gateway";

import { Server, cpuUsOf, linesOf, start, subjectStart } from "./gateway/server.js";

const here = fileURLToPath(import.meta.url);
const command = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const natsPort = 14_322;
const port = 14_323;
const payloadBytes = 200;
/** Milliseconds between two looks of a sender at its clock. */
const stepMs = 2;

/** What the process with the peers prints at the end. */
interface Peers {
  readonly sent: number;
  readonly answers: number;
  readonly peersAnswered: number;
  readonly wrongSource: number;
  readonly seconds: number;
}

const [first = "3", ...rest] = process.argv.slice(2);
if (first === "--peers") await bePeers(rest.map(Number) as [number, number, number, number]);
else await compare(Number(first), rest.map(Number));

async function compare(rounds: number, given: readonly number[]): Promise<void> {
  const [workers = 1, peers = 1000, rate = 50_000, answerRate = 1000, burst = 1, seconds = 10, bundles = 0] =
    given;
  const server = await Server.start(natsPort);
  try {
    for (let round = 1; round <= rounds; round++) {
      await server.freshStream([`${subjectStart}.*`, `datagram.${port}.*`]);
      process.stdout.write(
        `${await measure(server, { workers, peers, rate, answerRate, burst, seconds, bundles })}\n`,
      );
    }
  } finally {
    await server.close();
  }
}

interface Load {
  readonly workers: number;
  readonly peers: number;
  readonly rate: number;
  readonly answerRate: number;
  readonly burst: number;
  readonly seconds: number;
  /** 1: with bundles. */
  readonly bundles: number;
}

async function measure(server: Server, load: Load): Promise<string> {
  const { workers, peers, rate, answerRate, burst, seconds, bundles } = load;
  const args = ["gateway", `127.0.0.1:${port}`, "--stream", "bench", "--nats", server.url];
  if (bundles > 0) args.push("--bundle");
  const gateway = spawn(
    process.execPath,
    [command, ...args, "--icmp-wait", "0", "--workers", `${workers}`, "--json"],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  const lines: string[] = [];
  gateway.stdout.setEncoding("utf8").on("data", (text: string) => lines.push(...text.split("\n")));
  await printed(gateway, "storing in the stream");
  const devices = start(here, ["--peers", ...[peers, rate, burst, seconds].map(String)]);
  const next = linesOf(devices);
  const tokens = JSON.parse(await next()) as string[];
  const serverUs = cpuUsOf(server.pid);
  const told = await ask(server.url, tokens, answerRate, seconds);
  const result = JSON.parse(await next()) as Peers;
  const processes = [gateway.pid ?? 0, ...childrenOf(gateway.pid ?? 0)];
  const gatewayUs = processes.reduce((sum, pid) => sum + cpuUsOf(pid), 0);
  const usedUs = cpuUsOf(server.pid) - serverUs;
  gateway.kill("SIGINT");
  await once(gateway, "close");
  const counts = JSON.parse(lines.filter((line) => line !== "").at(-1) ?? "{}") as Record<string, number>;
  const sorted = told.latenciesMs.sort((one, other) => one - other);
  const at = (share: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN).toFixed(1);
  return [
    `datagrams: ${Math.round(result.sent / result.seconds)}/s sent, ${counts.received} of ${result.sent} received, ${counts.stored} stored, ${counts.shed} shed, ${counts.droppedKernel} dropped by the kernel`,
    `answers: ${told.asked} asked, ${told.sent} said to be sent, ${result.answers} arrived at ${result.peersAnswered} peers, ${result.wrongSource} from another address; told after ${at(0.5)} ms (median), ${at(0.99)} ms (99%)`,
    `CPU: gateway ${((gatewayUs / 1e6 / seconds) * 100).toFixed(0)}%, server ${((usedUs / 1e6 / seconds) * 100).toFixed(0)}%; load ${(loadavg()[0] ?? 0).toFixed(1)}`,
  ].join("; ");
}

/** Publishes answers to the peers in turn, at a rate. */
async function ask(
  url: string,
  tokens: readonly string[],
  rate: number,
  seconds: number,
): Promise<{ asked: number; sent: number; latenciesMs: number[] }> {
  const nats = await connect({ servers: url.slice("nats://".length) });
  const latenciesMs: number[] = [];
  const all: Promise<boolean>[] = [];
  const startMs = performance.now();
  for (let ms = 0; ms < seconds * 1000; ms = performance.now() - startMs) {
    for (const due = Math.floor((ms / 1000) * rate); all.length < due;) {
      const token = tokens[all.length % tokens.length] ?? "";
      const askedMs = performance.now();
      const request = nats.request(`datagram.${port}.${token}.reply`, `answer ${all.length}`, {
        timeout: 10_000,
      });
      const told = request.then(
        (message) => {
          latenciesMs.push(performance.now() - askedMs);
          return message.json<{ sent: boolean }>().sent;
        },
        () => false,
      );
      all.push(told);
    }
    await new Promise((resolve) => setTimeout(resolve, stepMs));
  }
  const sent = (await Promise.all(all)).filter(Boolean).length;
  await nats.close();
  return { asked: all.length, sent, latenciesMs };
}

/** Many peers in this process: each sends in its turn, and counts its answers. */
async function bePeers([peers, rate, burst, seconds]: [number, number, number, number]): Promise<void> {
  const payloads = Array<Buffer>(burst).fill(Buffer.alloc(payloadBytes, "x"));
  const sockets = Array.from({ length: peers }, () => socket());
  const counts = new Array<number>(peers).fill(0);
  let wrongSource = 0;
  for (const [index, s] of sockets.entries()) {
    await s.bind(["127.0.0.1", 0]);
    void (async () => {
      for await (const { source } of s) {
        counts[index] = (counts[index] ?? 0) + 1;
        if (source.port !== port || source.host !== "127.0.0.1") wrongSource++;
      }
    })();
    // The gateway must have seen each peer.
    await s.sendto("first", ["127.0.0.1", port]);
    if (index % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  process.stdout.write(`${JSON.stringify(sockets.map((s) => peerToken(s.getsockname())))}\n`);
  let sent = 0;
  const startMs = performance.now();
  for (let ms = 0; ms < seconds * 1000; ms = performance.now() - startMs) {
    const sends: Promise<number>[] = [];
    // After a pause, at most the datagrams of 20 ms: a larger burst would overrun the receive buffer.
    const due = Math.min(Math.floor((ms / 1000) * rate), sent + rate / 50);
    for (; sent + burst <= due; sent += burst) {
      const s = sockets[(sent / burst) % peers];
      if (s)
        sends.push(
          burst === 1
            ? s.sendto(payloads[0] ?? "", ["127.0.0.1", port])
            : s.sendMany(payloads, ["127.0.0.1", port]),
        );
    }
    await Promise.all(sends);
    await new Promise((resolve) => setTimeout(resolve, stepMs));
  }
  const took = (performance.now() - startMs) / 1000;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const result: Peers = {
    sent: sent + peers,
    answers: counts.reduce((sum, each) => sum + each, 0),
    peersAnswered: counts.filter((each) => each > 0).length,
    wrongSource,
    seconds: took,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  await Promise.all(sockets.map((s) => s.close()));
}

/** Waits until a process has printed a text on standard error. */
async function printed(child: ChildProcess, text: string): Promise<void> {
  let log = "";
  await new Promise<void>((resolve, reject) => {
    child.once("exit", () => reject(new Error(`the gateway has ended:\n${log}`)));
    child.stderr?.setEncoding("utf8").on("data", (part: string) => {
      log += part;
      if (log.includes(text)) resolve();
    });
  });
  child.removeAllListeners("exit");
}

/** The processes that a process has started, on Linux. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ").filter(Boolean).map(Number);
}
