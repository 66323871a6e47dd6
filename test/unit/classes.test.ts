import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, expect, test } from "vitest";

const home = fileURLToPath(new URL("../..", import.meta.url));
/** Classes that the rule accepts, each as a record or since the compiler refuses an object that only looks like an instance. */
const accepted: Readonly<Record<string, string>> = {
  "a private field": "class C { #a = 1; }",
  "a field that is declared private": "class C { private a = 1; }",
  "a field that is declared protected": "class C { protected a = 1; }",
  "a private method": "class C { #a(): void {} }",
  "a private accessor": "class C { get #a(): number { return 1; } }",
  "a parameter of the constructor that is a private field":
    "class C { constructor(private readonly a: number) {} }",
  "a base": "class C extends Map<string, string> { b = 1; }",
  "a name of a record": "class Exempt { a = 1; }",
};
const refused: Readonly<Record<string, string>> = {
  "no private member": "class C { a = 1; }",
  "no private member, and no name": "(class { a = 1; });",
  "a static private field alone": "class C { static #a = 1; b = 2; }",
  "a static field that is declared private": "class C { private static a = 1; b = 2; }",
  "a private constructor alone": "class C { private constructor(readonly a: number) {} }",
};

let folder: string;
/** The files of the folder that the rule refuses. */
let reported: readonly string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "datagram-classes-"));
  const rule = ["error", { records: ["Exempt"] }];
  const config = {
    categories: { correctness: "off" },
    jsPlugins: [join(home, "scripts/lint-classes.mjs")],
    rules: { "classes/nominal": rule },
  };
  await writeFile(join(folder, ".oxlintrc.json"), JSON.stringify(config));
  for (const [what, text] of Object.entries({ ...accepted, ...refused }))
    await writeFile(join(folder, `${what}.ts`), `${text}\n`);
  const oxlint = join(home, "node_modules/oxlint/bin/oxlint");
  const { stdout, stderr } = spawnSync(process.execPath, [oxlint, "--format=json"], {
    cwd: folder,
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  const { diagnostics } = JSON.parse(stdout) as {
    diagnostics: readonly { readonly code: string; readonly filename: string }[];
  };
  reported = diagnostics.map(({ code, filename }) => `${code} ${filename}`);
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

test.for(Object.keys(accepted))("a class with %s is accepted", (what) => {
  expect(reported).not.toContain(`classes(nominal) ${what}.ts`);
});

test.for(Object.keys(refused))("a class with %s is refused", (what) => {
  expect(reported).toContain(`classes(nominal) ${what}.ts`);
});
