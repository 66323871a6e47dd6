import { execFile, spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { publint } from "publint";
import { afterAll, beforeAll, expect, test } from "vitest";

import { withCertificates } from "../certificates.js";
import { Program, addonBuilt, home, requireAll, whySkipped, withDriver } from "../process/programs.js";

interface Manifest {
  readonly version: string;
  readonly scripts: Readonly<Record<string, string>>;
}

const require = createRequire(import.meta.url);
const compiler = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");
const typesChecker = join(dirname(require.resolve("@arethetypeswrong/cli/package.json")), "dist/index.js");
const addon = `prebuilds/${process.platform}-${process.arch}/datagram.node`;
const noAddon = whySkipped("native");

let folder: string;
let tarball: string;
let packed: readonly string[];
/** A folder with the package installed as from the registry. */
let app: string;
/** What the compiler says of the programs in TypeScript there. */
let compiled: { readonly code: number | null; readonly lines: readonly string[] };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "datagram-package-"));
  // The scripts would rebuild files that other tests are running.
  const report = await run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder], home);
  const [pack] = JSON.parse(report) as [{ filename: string; files: { path: string }[] }];
  tarball = join(folder, pack.filename);
  packed = pack.files.map(({ path }) => path);
  app = join(folder, "app");
  await mkdir(app);
  await writeFile(join(app, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }));
  await writeFile(join(app, "main.js"), echoProgram);
  await run(
    "npm",
    ["install", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", tarball],
    app,
  );
  // One run of the compiler for all programs: it reads the types of Node, which takes longer than the rest.
  const programs = {
    "main.ts": typedProgram,
    "before.ts": dgramProgram,
    "after.ts": dgramProgram.replaceAll("node:dgram", "datagram/dgram"),
  };
  for (const [name, text] of Object.entries(programs)) await writeFile(join(app, name), text);
  const compilerOptions = {
    ...{ module: "nodenext", target: "es2022", types: ["node"] },
    ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noEmit: true },
  };
  await writeFile(
    join(app, "tsconfig.json"),
    JSON.stringify({ compilerOptions, files: Object.keys(programs) }),
  );
  const { status, stdout } = spawnSync(process.execPath, [compiler, "--pretty", "false"], {
    cwd: app,
    encoding: "utf8",
  });
  compiled = { code: status, lines: stdout.split("\n").filter((line) => line !== "") };
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

test("the tarball has the compiled files and the sources", () => {
  const papers = ["package.json", "README.md", "LICENSE", "CHANGELOG.md"];
  const code = [
    "dist/index.js",
    "dist/index.d.ts",
    "dist/dgram/index.js",
    "dist/dgram/index.d.ts",
    "dist/register/index.js",
    "dist/message/index.js",
    "dist/message/index.d.ts",
    "dist/watch/index.js",
    "dist/watch/index.d.ts",
    "dist/watch/web/index.html",
    "dist/capture/index.js",
    "dist/capture/index.d.ts",
    "dist/gateway/index.js",
    "dist/gateway/index.d.ts",
    "dist/proxy/index.js",
    "dist/proxy/index.d.ts",
    "dist/cli/main.js",
    "man/datagram.1",
    "micropython/datagram.py",
    "native/addon.cc",
    "scripts/build-addon.mjs",
    "docs/recipes/README.md",
    "examples/camera/send.py",
    "examples/docker/Dockerfile",
    "examples/sysctl.d/60-datagram.conf",
  ];
  expect([...papers, ...code].filter((path) => !packed.includes(path))).toEqual([]);
});

test("the tarball has no other files", () => {
  const inside =
    /^(package[.]json|README[.]md|LICENSE|CHANGELOG[.]md|CONTRIBUTING[.]md|(dist|docs|examples|findings|man|micropython|native|prebuilds)[/].+|scripts[/]build-addon[.]mjs)$/;
  const leftOver = /^(?!examples[/]).*[.]test[.]|[.]map$|[.]tsbuildinfo$/;
  expect(packed.filter((path) => !inside.test(path) || leftOver.test(path))).toEqual([]);
});

test("the tarball has each example and each finding that its documents link to", async () => {
  const documents = packed.filter((path) => /^(README[.]md|docs[/].+[.]md)$/.test(path));
  const links = await Promise.all(
    documents.map(async (path) => {
      const text = await readFile(join(home, path), "utf8");
      return [...text.matchAll(/\]\(([^)#:]+)/g)].map(([, link = ""]) => join(dirname(path), link));
    }),
  );
  const linked = links.flat().filter((path) => /^(examples|findings)[/]/.test(path));
  expect(linked).toContain("examples/nats/permissions.conf");
  expect(linked.filter((path) => !packed.includes(path))).toEqual([]);
});

test.skipIf(noAddon !== undefined)("the tarball has the addon of this machine", () => {
  expect(packed).toContain(addon);
});

test.skipIf(!requireAll)("the tarball has an addon for each CPU, and no other file beside them", () => {
  expect(packed.filter((path) => path.startsWith("prebuilds/")).sort()).toEqual([
    "prebuilds/linux-arm/datagram.node",
    "prebuilds/linux-arm64/datagram.node",
    "prebuilds/linux-x64/datagram.node",
  ]);
});

test("programs that send messages read no command", async () => {
  const read = new Set<string>();
  const others: string[] = [];
  const readFrom = async (path: string): Promise<void> => {
    if (read.has(path)) return;
    read.add(path);
    const code = await readFile(join(home, path), "utf8");
    for (const [, from = ""] of code.matchAll(/^(?:import|export) [^"]*"([^"]+)";$/gm)) {
      if (from.startsWith(".")) await readFrom(join(dirname(path), from));
      else if (!from.startsWith("node:")) others.push(from);
    }
  };
  await readFrom("dist/message/index.js");
  expect([...read]).toContain("dist/chunks/core.js");
  expect([...read]).not.toContain("dist/chunks/cli.js");
  expect(others).toEqual([]);
});

test("packing builds the addons and the API reference", async () => {
  const { scripts } = await manifestIn(home);
  expect(scripts.prepack).toBe(
    "npm run --silent build:addons && npm run --silent micropython && npm run --silent docs:api",
  );
});

test("no script runs at installation", async () => {
  const { scripts } = await manifestIn(join(app, "node_modules/datagram"));
  expect(Object.keys(scripts)).toContain("prepare");
  expect(Object.keys(scripts).filter((name) => /^(pre|post)?install$/.test(name))).toEqual([]);
  // npm runs node-gyp for a package that has this file.
  expect(packed).not.toContain("binding.gyp");
});

test.skipIf(noAddon !== undefined)("the installed package runs with the addon", async () => {
  expect(await runEcho(app)).toBe("native hello");
});

test("the installed package runs without the addon, and doctor and the guide have the command that builds one", async (context) => {
  const bare = join(folder, "bare");
  await cp(app, bare, { recursive: true, verbatimSymlinks: true });
  await rm(join(bare, "node_modules/datagram/prebuilds"), { recursive: addonBuilt, force: !addonBuilt });
  expect(await runEcho(bare)).toBe("dgram hello");
  const cli = join(bare, "node_modules/datagram/dist/cli/main.js");
  const report = await runNode([cli, "doctor", "--json"], bare);
  const { driver } = JSON.parse(report) as { driver: { why: string } };
  const script = join(bare, "node_modules/datagram/scripts/build-addon.mjs");
  expect(driver.why).toContain(`: node ${script} builds it`);
  const listen = [process.execPath, cli, "listen", "127.0.0.1:0", "--guide", "--timeout", "10ms"];
  const { stderr } = await new Program(context, listen, withDriver(undefined)).ended;
  expect(stderr).toMatch(/^ {2}sockets use node:dgram: .* builds it$/m);
  if (noAddon !== undefined) context.skip(noAddon);
  await runNode([script], bare);
  expect(await runEcho(bare)).toBe("native hello");
});

test("strict TypeScript compiles against the package's types", () => {
  expect(diagnostics().filter((line) => !/^(before|after)[.]ts/.test(line))).toEqual([]);
});

test("one program compiles against node:dgram and against datagram/dgram", () => {
  expect(diagnostics().filter((line) => /^(before|after)[.]ts/.test(line))).toEqual([]);
});

test("the command is installed and prints its version", async () => {
  const { version } = await manifestIn(home);
  expect(await run(join(app, "node_modules/.bin/datagram"), ["--version"], app)).toBe(`${version}\n`);
});

test("the gateway says which package it needs", async () => {
  const args = ["gateway", "0", "--stream", "cameras"];
  await expect(run(join(app, "node_modules/.bin/datagram"), args, app)).rejects.toMatchObject({
    stderr: "datagram gateway: gateway needs the client of NATS: npm install @nats-io/transport-node\n",
  });
});

test("publint reports nothing", async () => {
  const bytes = await readFile(tarball);
  const archive = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const { messages } = await publint({ strict: true, pack: { tarball: archive } });
  expect(messages).toEqual([]);
});

test("attw finds that the types are right for ESM", async () => {
  // If there is a problem, attw fails, and the promise rejects.
  const report = await runNode([typesChecker, tarball, "--profile", "esm-only", "--no-emoji"], folder);
  expect(report).toContain("OK (ESM)");
});

const echoProgram = `
import { AF_INET, SOCK_DGRAM, socket } from "datagram";
import { probePathMtu } from "datagram/message";
import { proxy } from "datagram/proxy";

const s = socket(AF_INET, SOCK_DGRAM);
await s.bind(["127.0.0.1", 0]);
const refusal = await probePathMtu(s, ["localhost", 9]).catch((error) => error);
if (refusal.code !== "EINVAL") throw refusal;
const relay = await proxy({ target: s.getsockname() });
await s.sendto("hello", relay.address);
const [data] = await s.recvfrom(64);
await relay.close();
console.log(s.driver, data.toString());
await s.close();
`;

const dgramProgram = `
import dgram, { type BindOptions, type RemoteInfo, type SocketOptions, createSocket } from "node:dgram";
import * as all from "node:dgram";

const options: SocketOptions = { type: "udp4", reuseAddr: true, recvBufferSize: 4096 };
const a: dgram.Socket = dgram.createSocket(options, (data: Buffer, from: RemoteInfo) => console.log(data, from.family));
const b = createSocket("udp6");
const c: all.Socket = all.createSocket({ type: "udp4", signal: AbortSignal.timeout(9) });
const at: BindOptions = { port: 0, exclusive: true };
class Own extends dgram.Socket {
  greet(): void {
    this.send("hello", 9, "127.0.0.1", (error, bytes) => console.log(error?.message, bytes));
  }
}
a.on("message", (data, { address, port, size }: dgram.RemoteInfo) => {
  b.send(data, 0, size, port, address);
  b.send([data, "x"], port, address);
});
a.once("listening", () => console.log(a.address().port)).bind(at).unref();
c.connect(9, "127.0.0.1", () => c.send(new Uint8Array(2)));
console.log(a instanceof dgram.Socket, Own.name, b.setTTL(3));
await a[Symbol.asyncDispose]();
`;

const typedProgram = `
import { AF_INET, type Address, type Datagram, OSError, SOCK_DGRAM, type SocketOptions, socket } from "datagram";
import { type PathMtuResult, probePathMtu } from "datagram/message";
import { type Gateway, type StoredDatagram, consume, gateway } from "datagram/gateway";
import { type Relay, type RelayStats, proxy } from "datagram/proxy";

const options: SocketOptions = { receiveBuffer: undefined };
await using s = socket(AF_INET, SOCK_DGRAM, options);
s.settimeout(2.0);
const sent: number = await s.sendto(new Uint8Array(4), ["127.0.0.1", 9000]);
const signal: AbortSignal | undefined = sent > 4 ? AbortSignal.abort() : undefined;
try {
  const [data, source]: [Buffer, Address] = await s.recvfrom(64, { signal, timeoutMs: undefined });
  console.log(data.toString(), source.host, source.port);
  const found: PathMtuResult = await probePathMtu(s, source, { signal, onProbe: ({ size, outcome }) => console.log(size, outcome) });
  console.log(found.maxPayload);
  const relay: Relay = await proxy({ target: source, link: { profile: "lte", lossRatio: 0.2 }, seed: undefined });
  relay.set({ up: "lan", down: { lossRatio: 0.5 } });
  const { up }: RelayStats = relay.stats();
  console.log(up.lost, relay.address.port);
  for await (const datagram of s) await answer(datagram);
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  const port: number | undefined = error.port;
  console.log(error.code, error.errno, port);
}

// No client of NATS is installed.
const running: Gateway = await gateway(s, { into: "captures" });
console.log(running.stats().answers?.sent);
const stored: AsyncIterator<StoredDatagram, undefined> = consume({ nats: "nats://127.0.0.1:4222", stream: "cameras" });
await stored.next();

async function answer({ data, reply }: Datagram): Promise<void> {
  await reply(data);
}

// @ts-expect-error -- a port is a number
await s.sendto("hello", ["127.0.0.1", "9000"]);
`;

/** The lines of the compiler, which fails only with some. */
function diagnostics(): readonly string[] {
  expect(compiled.code === 0).toBe(compiled.lines.length === 0);
  return compiled.lines;
}

/** The output of the program, over the driver that the package chooses. */
async function runEcho(where: string): Promise<string> {
  return (await runNode([join(where, "main.js")], where)).trim();
}

function runNode(args: readonly string[], cwd: string): Promise<string> {
  return run(process.execPath, args, cwd);
}

/** The output of a command. Rejects with the error output if the command fails. A program of Node must not warn. */
async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const env = withDriver(undefined);
  const options = { cwd, env: command === "npm" ? withCertificates(env) : env, maxBuffer: 64 << 20 };
  const { stdout, stderr } = await promisify(execFile)(command, args, options);
  if (command === process.execPath) expect(stderr).toBe("");
  return stdout;
}

async function manifestIn(where: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(where, "package.json"), "utf8")) as Manifest;
}
