/** The programs that store datagrams, and what they have stored. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import {
  createReadStream,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { consume } from "datagram/gateway";

import { type Server, env, linesOf, start } from "./server.js";

const command = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
const plain = fileURLToPath(new URL("plain.js", import.meta.url));
const receive = fileURLToPath(new URL("receive.js", import.meta.url));
const startTimeoutMs = 20_000;

/** A program that stores the datagrams of one port. */
export interface Storer {
  readonly name: string;
  readonly port: number;
  /** Of the program, and of the server if it needs one. */
  readonly pids: Readonly<Record<string, number>>;
  /** Deletes what was stored. */
  clear(): Promise<void>;
  /** A number that grows whenever something is stored. */
  progress(): Promise<number>;
  /** The number of datagrams that were stored since `clear()`. */
  stored(): Promise<number>;
  close(): Promise<void>;
}

/** The command `datagram gateway` with its defaults. */
export async function startGateway(server: Server): Promise<Storer> {
  const { child, port } = await startCommand(["--nats", server.url, "--stream", "gateway", "--create"]);
  return inStream("gateway", port, child, server);
}

/** `datagram gateway --bundle`. */
export async function startBundles(server: Server): Promise<Storer> {
  await server.freshStream(["bundles.*.*"], "bundles");
  const stream = ["--stream", "bundles", "--prefix", "bundles"];
  const { child, port } = await startCommand(["--nats", server.url, ...stream, "--bundle"]);
  const stored = async (): Promise<number> => {
    let datagrams = 0;
    const reading = consume({ nats: server.url, stream: "bundles", prefix: "bundles", until: "now" });
    for await (const { size } of reading) if (size > 0) datagrams++;
    return datagrams;
  };
  return { ...inStream("gateway --bundle", port, child, server, "bundles"), stored };
}

/** `datagram gateway --into`: no server. */
export async function startFolder(): Promise<Storer> {
  const folder = mkdtempSync(join(tmpdir(), "datagram-bench-folder-"));
  const { child, port } = await startCommand(["--into", folder, "--limit", "4g"]);
  const sizes = (): Map<string, number> =>
    new Map(
      readdirSync(folder).map((name) => [join(folder, name), statSync(join(folder, name)).size] as const),
    );
  let before = sizes();
  return {
    name: "gateway --into",
    port,
    pids: { process: child.pid ?? 0 },
    clear: () => Promise.resolve(void (before = sizes())),
    progress: () => Promise.resolve([...sizes().values()].reduce((sum, size) => sum + size, 0)),
    stored: () => {
      const packets = [...sizes().keys()].map((path) => packetsIn(path, before.get(path) ?? 0));
      return Promise.resolve(packets.reduce((sum, count) => sum + count, 0));
    },
    close: async () => {
      await ended(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function startCommand(options: readonly string[]): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(
    process.execPath,
    [...process.execArgv, command, "gateway", "127.0.0.1:0", ...options],
    { env, stdio: ["ignore", "ignore", "pipe"] },
  );
  const port = await withinTime(child, async () => {
    for await (const line of createInterface({ input: child.stderr })) {
      const [, found] = /listening on 127\.0\.0\.1:(\d+)/.exec(line) ?? [];
      if (found !== undefined) return Number(found);
    }
    throw new Error("the gateway does not listen");
  });
  // The lines about losses are not needed, and must not fill the pipe.
  child.stderr.resume();
  return { child, port };
}

/** Receives in batches and stores nothing. */
export async function startReceiver(): Promise<Storer> {
  const child = start(receive, []);
  const line = linesOf(child);
  const port = await withinTime(child, async () => Number(await line()));
  const received = async (): Promise<number> => {
    child.stdin?.write("\n");
    return Number(await line());
  };
  let before = 0;
  return {
    name: "receiving only",
    port,
    pids: { process: child.pid ?? 0 },
    clear: async () => void (before = await received()),
    progress: received,
    stored: async () => (await received()) - before,
    close: () => ended(child),
  };
}

/** `node:dgram` and `js.publish`. */
export async function startPlain(server: Server): Promise<Storer> {
  await server.freshStream(["plain.*"], "plain");
  const child = start(plain, [server.url, "plain.x"]);
  const port = await withinTime(child, async () => Number(await linesOf(child)()));
  return inStream("node:dgram + js.publish", port, child, server, "plain");
}

function inStream(name: string, port: number, child: ChildProcess, server: Server, stream = name): Storer {
  return {
    name,
    port,
    pids: { process: child.pid ?? 0, server: server.pid },
    clear: () => server.purge(stream),
    progress: () => server.stored(stream),
    stored: () => server.stored(stream),
    close: () => ended(child),
  };
}

/** rsyslogd with `imudp` and one file, or `undefined` if it is not installed. */
export async function startRsyslog(): Promise<Storer | undefined> {
  if (spawnSync("rsyslogd", ["-v"], { env }).status !== 0) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "datagram-bench-rsyslog-"));
  const file = join(folder, "stored");
  const config = join(folder, "rsyslog.conf");
  const port = await freePort();
  writeFileSync(file, "");
  writeFileSync(
    config,
    `global(workDirectory="${folder}")
module(load="imudp")
input(type="imudp" address="127.0.0.1" port="${port}" rcvbufSize="4m" ruleset="bench")
ruleset(name="bench") { action(type="omfile" file="${file}") }
`,
  );
  const child = spawn("rsyslogd", ["-n", "-f", config, "-i", join(folder, "pid")], {
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const close = async (): Promise<void> => {
    await ended(child);
    rmSync(folder, { recursive: true, force: true });
  };
  const size = (): Promise<number> => Promise.resolve(statSync(file).size);
  try {
    await withinTime(child, async () => {
      const sender = createSocket("udp4").on("error", () => undefined);
      while ((await size()) === 0) {
        sender.send("<13>Oct 11 22:14:15 host bench: ready", port, "127.0.0.1");
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      sender.close();
    });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    name: "rsyslogd",
    port,
    pids: { process: child.pid ?? 0 },
    clear: async () => await truncate(file, 0),
    progress: size,
    stored: () => linesIn(file),
    close,
  };
}

/** The packets of a capture file after its first bytes. */
function packetsIn(path: string, from: number): number {
  const file = readFileSync(path);
  const enhancedPacket = 6;
  let packets = 0;
  for (let at = from; at + 8 <= file.length; at += file.readUInt32LE(at + 4))
    if (file.readUInt32LE(at) === enhancedPacket) packets++;
  return packets;
}

async function linesIn(file: string): Promise<number> {
  let lines = 0;
  for await (const part of createReadStream(file) as AsyncIterable<Buffer>)
    for (let at = part.indexOf(10); at >= 0; at = part.indexOf(10, at + 1)) lines++;
  return lines;
}

async function freePort(): Promise<number> {
  const s = createSocket("udp4").bind(0, "127.0.0.1");
  await once(s, "listening");
  const { port } = s.address();
  s.close();
  return port;
}

async function withinTime<Value>(child: ChildProcess, work: () => Promise<Value>): Promise<Value> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`${child.spawnfile} does not start`)), startTimeoutMs).unref();
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`${child.spawnfile} has ended`)));
  });
  late.catch(() => undefined);
  return await Promise.race([work(), late]);
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill();
  const kill = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await exit;
  clearTimeout(kill);
}
