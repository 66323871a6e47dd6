import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { Program, commands, everyTestRequired } from "./program.js";

const home = fileURLToPath(new URL("../..", import.meta.url));
const page = `${home}man/datagram.1`;

test("the manual page is the one that npm run man writes", async (t) => {
  const { code, stderr } = await new Program(t, process.execPath, [`${home}scripts/man.mjs`, "--check"])
    .ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});

test("the manual page renders without a warning, and has every command", async (t) => {
  const render = `
if command -v groff >/dev/null; then exec groff -man -Tutf8 -ww "$0"; fi
if command -v mandoc >/dev/null; then exec mandoc -Tutf8 -W warning "$0"; fi
exit 77`;
  const { code, stdout, stderr } = await new Program(t, "sh", ["-c", render, page]).ended;
  if (code === 77 && !everyTestRequired) t.skip("neither groff nor mandoc is installed");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  // Without bold and underlined characters.
  const text = stdout.replaceAll(/\u001b\[[\d;]*m|.\u0008/g, "");
  for (const name of commands) expect(text).toMatch(new RegExp(`^ +datagram ${name}$`, "m"));
});

test("package.json names the page, so that npm installs it", () => {
  const manifest = JSON.parse(readFileSync(`${home}package.json`, "utf8")) as {
    man: string;
    files: string[];
  };
  expect(manifest.man).toBe("./man/datagram.1");
  expect(manifest.files).toContain("man");
});
