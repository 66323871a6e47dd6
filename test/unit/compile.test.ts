import { execFileSync } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect, onTestFinished, test } from "vitest";

import { importCompiled } from "../compiled.js";

const home = fileURLToPath(new URL("../..", import.meta.url));
const source = "export const one = 1;\n";
/** Options of a project that is compiled to `build/<name>`. */
const options = (name: string): object => ({
  composite: true,
  module: "nodenext",
  sourceMap: name !== "src",
  types: [],
  rootDir: ".",
  outDir: `../build/${name}`,
  tsBuildInfoFile: `../build/${name}.tsbuildinfo`,
});

test("what was compiled from a source that is gone is deleted, and comes back with it", async () => {
  const { folder, compile, files } = await twoProjects();
  const both = ["build/src/a.js", "build/src/b.js", "dist/a.d.ts", "dist/b.d.ts"];
  const tests = ["a", "b"].flatMap((name) =>
    [".d.ts", ".js", ".js.map"].map((ending) => `build/test/${name}${ending}`),
  );
  compile();
  expect(await files()).toEqual([...both, ...tests].sort());

  await rm(join(folder, "src/b.ts"));
  await rename(join(folder, "test/a.ts"), join(folder, "test/c.ts"));
  compile("src");
  expect(await files(), "the project src alone").toEqual(
    [...both, ...tests].filter((name) => !/(src|dist)\/b/.test(name)).sort(),
  );
  compile();
  expect(await files()).toEqual(
    ["build/src/a.js", "dist/a.d.ts", ...tests.map((name) => name.replace("/a.", "/c."))].sort(),
  );

  await writeFile(join(folder, "src/b.ts"), source);
  compile();
  expect(await files()).toEqual([...both, ...tests.map((name) => name.replace("/a.", "/c."))].sort());
});

test("files that no compiler made stay", async () => {
  const { folder, compile, files } = await twoProjects();
  await mkdir(join(folder, "build/test/peers"), { recursive: true });
  await mkdir(join(folder, "dist/chunks"), { recursive: true });
  const others = ["build/test/peers/program", "dist/chunks/core.js"];
  for (const name of others) await writeFile(join(folder, name), "");
  compile();
  expect(await files()).toEqual(expect.arrayContaining(others));
});

test("the watch mode of vitest is refused, with a command that does the same", () => {
  const start = (watch: boolean) => (): void =>
    importCompiled.configureVitest({ vitest: { config: { watch } } });
  expect(start(false)).not.toThrow();
  expect(start(true)).toThrow(/node --watch-path=src .* run <file>$/);
});

/** A folder with the script, and with two modules in each of the projects `src` and `test`. */
async function twoProjects(): Promise<{
  folder: string;
  compile: (...projects: string[]) => void;
  files: () => Promise<string[]>;
}> {
  const folder = await mkdtemp(join(tmpdir(), "datagram-compile-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const write = (name: string, content: unknown): Promise<void> =>
    writeFile(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
  await mkdir(join(folder, "scripts"));
  await copyFile(join(home, "scripts/compile.mjs"), join(folder, "scripts/compile.mjs"));
  await symlink(join(home, "node_modules"), join(folder, "node_modules"));
  await write("package.json", { type: "module" });
  await write("tsconfig.json", { files: [], references: [{ path: "src" }, { path: "test" }] });
  for (const name of ["src", "test"]) {
    await mkdir(join(folder, name));
    const declarationDir = name === "src" ? { declarationDir: "../dist" } : {};
    await write(`${name}/tsconfig.json`, {
      compilerOptions: { ...options(name), ...declarationDir },
      include: ["**/*.ts"],
    });
    for (const module of ["a", "b"]) await write(`${name}/${module}.ts`, source);
  }
  const made = async (name: string): Promise<string[]> =>
    (await readdir(join(folder, name), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && !entry.name.endsWith(".tsbuildinfo"))
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  return {
    folder,
    compile: (...projects) => {
      execFileSync(process.execPath, [join(folder, "scripts/compile.mjs"), ...projects], {
        encoding: "utf8",
      });
    },
    files: async () => [...(await made("build")), ...(await made("dist"))].sort(),
  };
}
