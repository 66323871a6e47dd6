/** The types of the package under the oldest and the newest TypeScript, without `skipLibCheck`. */

import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { expect, test } from "vitest";

import { home } from "../process/programs.js";

interface Compilers {
  readonly folder: string;
  readonly compilers: readonly { readonly typescript: string; readonly types: string }[];
}

const { folder, compilers } = JSON.parse(process.env.DATAGRAM_COMPILERS ?? "{}") as Compilers;

test.for(compilers)(
  "TypeScript $typescript compiles a strict program with @types/node $types",
  async ({ typescript, types }) => {
    const app = await mkdtemp(join(folder, "app-"));
    const modules = join(app, "node_modules");
    await mkdir(join(modules, "@types"), { recursive: true });
    await cp(join(folder, `node_modules/types-${types}`), join(modules, "@types/node"), { recursive: true });
    for (const path of ["dist", "package.json"])
      await cp(join(home, path), join(modules, "datagram", path), { recursive: true });
    await writeFile(join(app, "package.json"), '{ "type": "module" }');
    await writeFile(join(app, "main.ts"), program);
    const compilerOptions = {
      ...{ module: "nodenext", target: "es2022", types: ["node"], skipLibCheck: false },
      ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noEmit: true },
    };
    await writeFile(join(app, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["main.ts"] }));
    const compiler = join(folder, `node_modules/typescript-${typescript}/bin/tsc`);
    const run = promisify(execFile)(process.execPath, [compiler, "--project", app]);
    const output = await run.catch((error: unknown) => error as { stdout: string });
    expect(output.stdout).toBe("");
  },
);

/** It has no `await using`, which TypeScript reads from 5.2 on. */
const program = `
import { type Datagram, OSError, socket } from "datagram";
import { probePathMtu } from "datagram/message";
import { proxy } from "datagram/proxy";
import { Network } from "datagram/sim";

const s = socket();
await s.bind(["127.0.0.1", 0]);
const [data, source]: [Buffer, { host: string; port: number }] = await s.recvfrom(64);
console.log(data.toString(), (await probePathMtu(s, ["127.0.0.1", 9])).maxPayload, source, Network.name);
const relay = await proxy({ target: s.getsockname() });
for await (const datagram of s) await answer(datagram);
await relay.close();

async function answer({ data, reply }: Datagram): Promise<void> {
  const sent: number = await reply(data);
  if (sent < 0) throw new OSError("EIO");
}
`;
