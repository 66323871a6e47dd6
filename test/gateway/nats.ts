/** A real nats-server for tests, with its streams in a temporary folder. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type NatsConnection, connect } from "@nats-io/transport-node";

import { requireAll } from "../process/programs.js";

/** Debian has the server in a folder that only the PATH of root has. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };

/** Why tests with a server cannot run; `undefined` if they can. With `DATAGRAM_REQUIRE_ALL=1` they run and fail. */
export const noServer: string | undefined =
  requireAll || spawnSync("nats-server", ["--version"], { env }).status === 0
    ? undefined
    : "nats-server is missing: apt-get install nats-server, or see https://docs.nats.io";

/** A message of a stream. */
export interface StoredMessage {
  readonly seq: number;
  readonly subject: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly data: Buffer;
}

/** A message of a stream in an answer of the server, in base64. Empty fields are missing. */
interface Encoded {
  readonly seq: number;
  readonly subject: string;
  readonly hdrs?: string;
  readonly data?: string;
}

/** How a server differs from a usual one. */
export interface NatsServerOptions {
  /** The first words of the command that starts it, such as those of a namespace. @default none */
  readonly within?: readonly string[];
  /** The folder of its streams. @default a temporary one */
  readonly store?: string;
  /** Lines of its configuration. @default none */
  readonly settings?: string;
  /** Further variables of its environment. @default none */
  readonly variables?: NodeJS.ProcessEnv;
}

/** A running server. */
export class NatsServer {
  readonly #folder = mkdtempSync(join(tmpdir(), "datagram-nats-"));
  readonly #options: NatsServerOptions;
  #child: ChildProcess | undefined;
  #port = -1;

  private constructor(options: NatsServerOptions) {
    this.#options = options;
  }

  static async start(options: NatsServerOptions = {}): Promise<NatsServer> {
    const server = new NatsServer(options);
    await server.start();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** Starts the server, again with the port and the streams that it had. */
  async start(): Promise<void> {
    const { within = [], store = join(this.#folder, "store"), settings = "", variables = {} } = this.#options;
    const file = join(this.#folder, "settings.conf");
    writeFileSync(file, settings);
    const args = ["-a", "127.0.0.1", "-p", String(this.#port), "-js", "-sd", store, "-c", file];
    const [program, ...rest] = [...within, "nats-server", ...args, "--ports_file_dir", this.#folder];
    const child = spawn(program, rest, {
      env: { ...env, ...variables },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    let log = "";
    await new Promise<void>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", () => reject(new Error(`nats-server has ended:\n${log}`)));
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        log += text;
        if (log.includes("Server is ready")) resolve();
      });
    });
    while (this.#port < 0) {
      const name = readdirSync(this.#folder).find((each) => each.endsWith(".ports"));
      const text = name === undefined ? "" : readFileSync(join(this.#folder, name), "utf8");
      const [, port] = /nats:\/\/127[.]0[.]0[.]1:(\d+)/.exec(text) ?? [];
      if (port === undefined) await sleep(5);
      else this.#port = Number(port);
    }
  }

  /** Sends a signal to the server, and waits until it has ended or stopped by it. */
  async signal(name: "SIGKILL" | "SIGSTOP" | "SIGCONT"): Promise<void> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(name);
    if (name === "SIGKILL") await ended;
    // The state follows the name in parentheses: proc_pid_stat(5). T is stopped.
    while (name === "SIGSTOP" && !readFileSync(`/proc/${child.pid}/stat`, "latin1").includes(") T "))
      await sleep(1);
  }

  /** Ends the server, and deletes its streams. */
  async close(): Promise<void> {
    await this.signal("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** The version of the server, such as `2.9.10`. */
  async version(): Promise<string> {
    return await this.#use((nats) => Promise.resolve(nats.info?.version ?? ""));
  }

  /** Asks JetStream. */
  async ask(subject: string, request: object = {}): Promise<Record<string, unknown>> {
    return await this.#use((nats) => ask(nats, subject, request));
  }

  /** The messages of a stream, in their order. */
  async messages(stream: string): Promise<StoredMessage[]> {
    return await this.#use(async (nats) => {
      const { state } = (await ask(nats, `STREAM.INFO.${stream}`)) as {
        state: { first_seq: number; last_seq: number };
      };
      const found: StoredMessage[] = [];
      for (let from = Math.max(1, state.first_seq); from <= state.last_seq; from += 500) {
        const numbers = Array.from(
          { length: Math.min(500, state.last_seq - from + 1) },
          (_, index) => from + index,
        );
        const answers = await Promise.all(
          numbers.map((seq) => whenAvailable(() => ask(nats, `STREAM.MSG.GET.${stream}`, { seq }))),
        );
        for (const answer of answers) {
          if (!answer.message) throw new Error(`a message is missing: ${JSON.stringify(answer)}`);
          const { seq, subject, hdrs = "", data = "" } = answer.message as Encoded;
          const lines = Buffer.from(hdrs, "base64").toString("latin1").split("\r\n").slice(1, -2);
          const headers = lines.map((line): [string, string] => {
            const colon = line.indexOf(": ");
            return [line.slice(0, colon), line.slice(colon + 2)];
          });
          found.push({ seq, subject, headers: new Map(headers), data: Buffer.from(data, "base64") });
        }
      }
      return found;
    });
  }

  async #use<Result>(run: (nats: NatsConnection) => Promise<Result>): Promise<Result> {
    const nats = await connect({ servers: this.url.slice("nats://".length) });
    try {
      return await run(nats);
    } finally {
      await nats.close();
    }
  }
}

/** Asks again while a cluster has no leader, or cannot answer for another reason that passes. */
async function whenAvailable(
  asked: () => Promise<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  for (;;) {
    const answer = await asked();
    if ((answer.error as { code?: number } | undefined)?.code !== 503) return answer;
    await sleep(100);
  }
}

async function ask(
  nats: NatsConnection,
  subject: string,
  request: object = {},
): Promise<Record<string, unknown>> {
  const answer = await nats.request(`$JS.API.${subject}`, JSON.stringify(request), { timeout: 10_000 });
  return answer.json<Record<string, unknown>>();
}
