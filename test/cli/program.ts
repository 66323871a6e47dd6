/** Runs the built command and its Python peers as a user runs them. */

import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { type TestContext, expect } from "vitest";

import { unusedPort } from "../ports.js";

/** The built command. */
export const bin: string = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** The subcommands. */
export const commands = [
  "listen",
  "watch",
  "send",
  "receive",
  "record",
  "read",
  "replay",
  "gateway",
  "request",
  "serve",
  "ping",
  "mtu",
  "proxy",
  "run",
  "doctor",
  "completion",
];

/** The exit code or signal of a program, and its whole output. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  /** Its standard input, which then ends; `stayOpen` leaves it open. @default "" */
  readonly input?: string | Buffer | typeof stayOpen;
  readonly env?: NodeJS.ProcessEnv;
}

/** A standard input that the test writes to. */
export const stayOpen: unique symbol = Symbol("stay open");

/** A running program. It is killed when its test ends. */
export class Program {
  readonly child: ChildProcess;
  /** Settles after the program has ended and its whole output was read. */
  readonly ended: Promise<Ending>;
  readonly #written = { stdout: "", stderr: "" };
  readonly #read = { stdout: 0, stderr: 0 };
  readonly #news = new EventEmitter();
  #over = false;

  constructor(test: TestContext, command: string, args: readonly string[], options: ProgramOptions = {}) {
    const { input = "", env = {} } = options;
    this.child = spawn(command, args, { env: { ...process.env, ...env } });
    for (const name of ["stdout", "stderr"] as const) {
      this.child[name]!.setEncoding("utf8").on("data", (text: string) => {
        this.#written[name] += text;
        this.#news.emit("news");
      });
    }
    // A program that ends without reading its input does not fail the test.
    this.child.stdin!.on("error", () => undefined);
    if (input !== stayOpen) this.child.stdin!.end(input);
    this.ended = once(this.child, "close").then(([code, signal]) => {
      this.#over = true;
      this.#news.emit("news");
      return { code: code as number | null, signal: signal as NodeJS.Signals | null, ...this.#written };
    });
    test.onTestFinished(async () => {
      this.child.kill("SIGKILL");
      await this.ended;
    });
  }

  /**
   * The next line that the program writes to `stream`. @throws if it ends without one.
   *
   * @param ofHost whether to return lines about losses of other programs on this host too, such as tests that run now.
   */
  async line(stream: "stdout" | "stderr" = "stdout", ofHost = false): Promise<string> {
    for (;;) {
      const start = this.#read[stream];
      const end = this.#written[stream].indexOf("\n", start);
      if (end >= 0) {
        this.#read[stream] = end + 1;
        const line = this.#written[stream].slice(start, end);
        if (!ofHost && /^this host, all sockets|"event":"host"/.test(line)) continue;
        return line;
      }
      if (this.#over)
        throw new Error(`ended without another line of ${stream}:\n${JSON.stringify(this.#written)}`);
      await once(this.#news, "news");
    }
  }

  /** Waits until it has written a text, which may not be a whole line, to standard output. */
  async written(text: string): Promise<void> {
    while (!this.#written.stdout.includes(text)) {
      if (this.#over) throw new Error(`ended without writing ${text}:\n${JSON.stringify(this.#written)}`);
      await once(this.#news, "news");
    }
  }

  /** Writes to its standard input. */
  type(text: string): void {
    this.child.stdin!.write(text);
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: NodeJS.Signals = "SIGINT"): Promise<Ending> {
    this.child.kill(signal);
    return this.ended;
  }
}

/** Starts the command. */
export function datagram(test: TestContext, args: readonly string[], options?: ProgramOptions): Program {
  return new Program(test, process.execPath, [bin, ...args], options);
}

/** Runs the command to its end. */
export function run(test: TestContext, args: readonly string[], options?: ProgramOptions): Promise<Ending> {
  return datagram(test, args, options).ended;
}

/** A `datagram listen` that has printed its address. */
export interface Listener extends Program {
  readonly address: string;
  readonly port: number;
}

/** Starts `datagram listen` on a free port of the loopback interface, or at `at`. */
export async function listen(
  test: TestContext,
  args: readonly string[] = [],
  at = "0",
  options?: ProgramOptions,
): Promise<Listener> {
  const program = datagram(test, ["listen", at, ...args], options);
  const [, address, port] = /^listening on (.*:(\d+))$/.exec(await program.line("stderr")) ?? [];
  expect(address).toBeDefined();
  return Object.assign(program, { address: address!, port: Number(port) });
}

/** Starts a Python program that has `socket`, `sys` and an unbuffered `say`. */
export function python(
  test: TestContext,
  script: string,
  args: readonly (string | number)[] = [],
  options?: ProgramOptions,
): Program {
  const head = "import socket, sys, time\ndef say(*words): print(*words, flush=True)\n";
  // Without "site", which only adds installed packages to the path, Python starts in half the CPU time.
  return new Program(test, "python3", ["-S", "-c", head + script, ...args.map(String)], options);
}

/** A Python socket bound to a free port. It prints the port, then runs `body`, in which the socket is `s`. */
export async function pythonPeer(
  test: TestContext,
  body: string,
  host = "127.0.0.1",
): Promise<Program & { readonly port: number; readonly address: string }> {
  const family = host.includes(":") ? "AF_INET6" : "AF_INET";
  const open = `s = socket.socket(socket.${family}, socket.SOCK_DGRAM)\ns.settimeout(20)\ns.bind(("${host}", 0))\n`;
  const peer = python(test, `${open}say(s.getsockname()[1])\n${body}`);
  const port = Number(await peer.line());
  return Object.assign(peer, { port, address: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}` });
}

/** A Python receiver: prints a line of hex digits for each of `count` datagrams. */
export function pythonReceiver(
  test: TestContext,
  count: number,
  host?: string,
): ReturnType<typeof pythonPeer> {
  return pythonPeer(test, `for _ in range(${count}): say(s.recv(65535).hex() or "empty")`, host);
}

/** An address of this machine without a socket. */
export function deadAddress(host = "127.0.0.1"): string {
  return `${host.includes(":") ? `[${host}]` : host}:${unusedPort()}`;
}

/** Sends payloads to a port of the loopback interface, from Python, in hex digits. */
export async function pythonSend(
  test: TestContext,
  port: number,
  payloads: readonly (string | Buffer)[],
): Promise<void> {
  const script = `
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for payload in sys.argv[2:]: s.sendto(bytes.fromhex(payload), ("127.0.0.1", int(sys.argv[1])))`;
  const { code, stderr } = await python(test, script, [
    port,
    ...payloads.map((payload) => Buffer.from(payload as string).toString("hex")),
  ]).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
}

/** Runs the command on a terminal (of Python's `pty`), which mixes both of its outputs. */
export function onTerminal(test: TestContext, args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  const script = "import os, pty, sys\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
  return new Program(test, "python3", ["-S", "-c", script, process.execPath, bin, ...args], {
    input: stayOpen,
    // Node assumes that the terminal of a CI service has no colours.
    env: { TERM: "xterm-256color", CI: undefined, NO_COLOR: undefined, FORCE_COLOR: undefined, ...env },
  });
}

/** The bytes of a text as hex digits. */
export function hex(text: string | Buffer): string {
  return Buffer.from(text as string).toString("hex");
}

/** A file that is deleted when the test ends. */
export function file(test: TestContext, content: string | Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), "datagram-"));
  test.onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "data");
  writeFileSync(path, content);
  return path;
}

/** Whether a test that lacks a privilege fails instead of being skipped. */
export const everyTestRequired: boolean = process.env.DATAGRAM_REQUIRE_ALL === "1";
