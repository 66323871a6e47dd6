/** A nats-server with one stream in a temporary folder, and the processes that are measured. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { type NatsConnection, connect } from "@nats-io/transport-node";

export const streamName = "bench";
/** The subjects of the stream, without its last token. */
export const subjectStart = "bench.0";

/** Debian has servers in a folder that only the PATH of root has. */
export const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
const clockTicksPerSecond = 100;

/** A running nats-server. */
export class Server {
  readonly #folder = mkdtempSync(join(tmpdir(), "datagram-bench-nats-"));
  readonly #child: ChildProcess;
  #port: number;
  #nats: NatsConnection | undefined;

  private constructor(port: number) {
    this.#port = port;
    this.#child = spawn("nats-server", ["-a", "127.0.0.1", "-p", `${port}`, "-js", "-sd", this.#folder], {
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
  }

  /** @param port -1 is any free one. */
  static async start(port = -1): Promise<Server> {
    const server = new Server(port);
    const log = await printed(server.#child, "Server is ready");
    const [, found] = /Listening for client connections on 127\.0\.0\.1:(\d+)/.exec(log) ?? [];
    server.#port = Number(found);
    server.#nats = await connect({ servers: `127.0.0.1:${server.#port}` });
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Deletes the stream if there is one, and creates it with these subjects. */
  async freshStream(
    subjects: readonly string[] = [`${subjectStart}.*`],
    name: string = streamName,
  ): Promise<void> {
    await this.#ask(`STREAM.DELETE.${name}`);
    const config = { name, subjects, storage: "file", retention: "limits", discard: "new" };
    await this.#ask(`STREAM.CREATE.${name}`, config);
  }

  /** Deletes all messages of a stream. */
  async purge(stream: string): Promise<void> {
    await this.#ask(`STREAM.PURGE.${stream}`);
  }

  /** The number of messages in the stream. */
  async stored(stream: string = streamName): Promise<number> {
    const { state } = (await this.#ask(`STREAM.INFO.${stream}`)) as { state?: { messages: number } };
    return state?.messages ?? 0;
  }

  async close(): Promise<void> {
    await this.#nats?.close();
    const ended = once(this.#child, "exit");
    this.#child.kill();
    await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ask(subject: string, request: object = {}): Promise<object> {
    const answer = await this.#nats?.request(`$JS.API.${subject}`, JSON.stringify(request), {
      timeout: 30_000,
    });
    return answer?.json<object>() ?? {};
  }
}

/** Waits until a process prints a text on standard error. Returns everything that it has printed there. */
async function printed(child: ChildProcess, text: string): Promise<string> {
  let log = "";
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`it has ended:\n${log}`)));
    child.stderr?.setEncoding("utf8").on("data", (part: string) => {
      log += part;
      if (log.includes(text)) resolve();
    });
  });
  child.removeAllListeners("exit");
  return log;
}

/** Microseconds of CPU that a process has used. */
export function cpuUsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / clockTicksPerSecond;
}

/** Starts a program of this folder. Its output is read line by line. */
export function start(path: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [...process.execArgv, path, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...env, ...more },
  });
}

/** Returns a function that waits for the next line of a process. */
export function linesOf({ stdout }: ChildProcess): () => Promise<string> {
  if (!stdout) throw new Error("the output of a process is read");
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  return async () => {
    const line = (await lines.next()) as IteratorResult<string, undefined>;
    if (line.value === undefined) throw new Error("a process has ended without a result");
    return line.value;
  };
}
