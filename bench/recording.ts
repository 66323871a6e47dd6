/**
 * Measures how many datagrams a socket receives while it is recorded or has a `tap`, and how many datagrams of the same traffic
 * a recording and dumpcap have. A process offers 200,000 datagrams of 200 bytes a second over loopback:
 *
 *     npm run bench:recording -- [rounds, 3] [datagrams a second, 200000] [seconds, 2]
 *
 * The cases of a round run one after the other, each in a process of its own. Sends are single ones (`DATAGRAM_GSO=off`), as
 * those of many devices are, and then in runs. dumpcap needs root. Without it its case is left out.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { socket } from "datagram";
import { read, record } from "datagram/capture";

const cases = ["plain", "tap", "record"] as const;
type Case = (typeof cases)[number];

const payloadBytes = 200;
/** The first byte of the datagrams of the warm-up, and of those that count. */
const marks = { warmUp: 1, counted: 2 } as const;
const warmUpSeconds = 1.5;
const intervalMs = 1;

const [first, ...rest] = process.argv.slice(2);
if (first === "--send") await send(Number(rest[0]), Number(rest[1]), Number(rest[2]));
else if (first === "--receive") await receive(rest[0] as Case, rest[1] ?? "");
else await compare(Number(first ?? 3), Number(rest[0] ?? 200_000), Number(rest[1] ?? 2));

/** Offers datagrams for the warm-up and then for some seconds. Prints how many of the latter were sent. */
async function send(port: number, perSecond: number, seconds: number): Promise<void> {
  await sendMarked(port, marks.warmUp, perSecond, warmUpSeconds);
  await new Promise((resolve) => setTimeout(resolve, 300));
  process.stdout.write(`${await sendMarked(port, marks.counted, perSecond, seconds)}\n`);
}

async function sendMarked(port: number, mark: number, perSecond: number, seconds: number): Promise<number> {
  const payload = new Uint8Array(payloadBytes).fill(mark);
  await using s = socket();
  const each = Math.round((perSecond * intervalMs) / 1000);
  const started = performance.now();
  let sent = 0;
  for (let passed = 0; passed < seconds * 1000; passed = performance.now() - started) {
    const due = Math.min(10 * each, Math.round((passed * perSecond) / 1000) - sent);
    if (due > 0) await s.sendMany(new Array<Uint8Array>(due).fill(payload), ["127.0.0.1", port]);
    sent += Math.max(0, due);
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
  return sent;
}

/** Receives until standard input ends. Prints what was received and recorded. */
async function receive(how: Case, file: string): Promise<void> {
  const s = socket();
  await s.bind(["127.0.0.1", 0]);
  let tapped = 0;
  const recording = how === "record" ? record(s, file) : undefined;
  if (how === "tap") s.tap(({ data }) => (tapped += data.length));
  process.stdout.write(`${s.getsockname().port}\n`);
  process.stdin.once("end", () => void s.close()).resume();
  let received = 0;
  let usage = process.cpuUsage();
  for await (const batch of s.batches()) {
    const counted = batch.filter(({ data }) => data[0] === marks.counted).length;
    if (received === 0 && counted > 0) usage = process.cpuUsage();
    received += counted;
  }
  const { user, system } = process.cpuUsage(usage);
  const missed = (await recording?.close())?.missed;
  process.stdout.write(`${JSON.stringify({ received, tapped, cpuUs: user + system, missed })}\n`);
}

interface Received {
  readonly received: number;
  readonly cpuUs: number;
  readonly missed?: number;
}

async function compare(rounds: number, perSecond: number, seconds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "datagram-bench-"));
  try {
    for (const gso of ["off", "on"]) {
      process.stdout.write(gso === "off" ? "single datagrams\n" : "datagrams in runs\n");
      for (let round = 1; round <= rounds; round++) {
        const texts: string[] = [];
        let plain: Received | undefined;
        for (const how of cases) {
          const { sent, result } = await measure(how, join(folder, "r.pcapng"), gso, perSecond, seconds);
          plain ??= result;
          const rate = (result.received / plain.received).toFixed(2);
          const cost = (result.cpuUs / result.received).toFixed(2);
          const inFile = how === "record" ? percent(await countOf(join(folder, "r.pcapng")), sent) : "";
          const share = inFile === "" ? "" : `, ${inFile} in the file, ${result.missed} missed`;
          texts.push(`${how} ${percent(result.received, sent)} (${rate}) ${cost} µs${share}`);
        }
        if (gso === "off") texts.push(await dumpcapShare(join(folder, "d.pcapng"), perSecond, seconds));
        process.stdout.write(`  ${texts.join("; ")}\n`);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measure(
  how: Case,
  file: string,
  gso: string,
  perSecond: number,
  seconds: number,
): Promise<{ sent: number; result: Received }> {
  rmSync(file, { force: true });
  const receiver = start(["--receive", how, file], {});
  const lines = linesOf(receiver);
  const port = Number(await lines());
  const sent = await sendTo(port, gso, perSecond, seconds);
  receiver.stdin?.end();
  return { sent, result: JSON.parse(await lines()) as Received };
}

/** Returns how many were sent. */
async function sendTo(port: number, gso: string, perSecond: number, seconds: number): Promise<number> {
  const sender = start(["--send", `${port}`, `${perSecond}`, `${seconds}`], { DATAGRAM_GSO: gso });
  return Number(await linesOf(sender)());
}

/** The share of the datagrams that dumpcap has in its file, while a plain socket receives them. */
async function dumpcapShare(file: string, perSecond: number, seconds: number): Promise<string> {
  if (spawnSync("dumpcap", ["--version"]).error) return "dumpcap is not installed";
  const receiver = start(["--receive", "plain", ""], {});
  const lines = linesOf(receiver);
  const port = Number(await lines());
  const dumpcap = spawn("dumpcap", ["-q", "-i", "lo", "-f", `udp port ${port}`, "-w", file], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let text = "";
  while (!text.includes("File:") && dumpcap.exitCode === null)
    [text] = [text + String((await once(dumpcap.stderr, "data"))[0])];
  const sent = await sendTo(port, "off", perSecond, seconds);
  receiver.stdin?.end();
  const { received } = JSON.parse(await lines()) as Received;
  dumpcap.kill("SIGINT");
  await once(dumpcap, "exit");
  return `beside dumpcap ${percent(received, sent)}, ${percent(await countOf(file), sent)} in its file`;
}

/** The datagrams that count in a file. */
async function countOf(file: string): Promise<number> {
  let count = 0;
  for await (const { data } of read(file)) if (data[0] === marks.counted) count++;
  return count;
}

function start(args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(process.execPath, [fileURLToPath(import.meta.url), ...args], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
}

/** Returns a function that waits for the next line of a process. */
function linesOf({ stdout }: ChildProcess): () => Promise<string> {
  if (!stdout) throw new Error("the output of a process is read");
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  return async () => String((await lines.next()).value);
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(1)}%`;
}
