/**
 * Fills the last column of docs/semantics.md: the files with the tests of a row.
 *
 * A row has a key, such as `bind-twice`, at the start of its last cell. A test of the row has the key in a comment above it:
 * `// semantics: bind-twice`, or several keys with commas. The document names no test, so a test may be renamed without a
 * change of the document.
 *
 *   npm run semantics                     writes the column
 *   npm run semantics -- --check          says what is wrong, and changes nothing
 *   npm run semantics -- bind-twice ...   lists the tests of these rows
 *
 * @module
 */

import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const documentPath = "docs/semantics.md";

/** A row: its text before the last cell, and its key. The rest of the last cell is generated. */
const row = /^(\| .* \| )`([a-z0-9-]+)`.*\|$/;

/** The keys above a test, or the name of a test. A name may contain `%s` or `${...}`. */
const markerOrName =
  /\/\/ semantics: (?<keys>[a-z0-9-]+(?:, [a-z0-9-]+)*)$|(?:\b(?:test|contract)\(|\)\()\s*(?:"(?<plain>(?:[^"\\\n]|\\.)+)"|`(?<template>[^`]+)`)/gm;

const [first, ...others] = process.argv.slice(2);
const tests = readTests();
const lines = readFileSync(documentPath, "utf8").split("\n");
if (first === undefined) writeFileSync(documentPath, filled().join("\n"));
else if (first === "--check") check();
else list([first, ...others]);

/** The tests with keys, and the contract tests without keys. */
function readTests() {
  const found = [];
  for (const file of readdirSync("test", { recursive: true }).sort()) {
    if (!file.endsWith(".test.ts")) continue;
    const text = readFileSync(`test/${file}`, "utf8");
    let keys = [];
    for (const { groups, index } of text.matchAll(markerOrName)) {
      if (groups.keys !== undefined) {
        keys = groups.keys.split(", ");
        continue;
      }
      const line = text.slice(0, index).split("\n").length;
      found.push({ file, line, name: groups.plain ?? groups.template, keys });
      keys = [];
    }
  }
  return found;
}

/** The lines of the document, with the last column filled from the tests. */
function filled() {
  return lines.map((line) => {
    const [, start, key] = row.exec(line) ?? [];
    if (key === undefined) return line;
    const files = new Set(testsOf(key).map(({ file }) => file));
    const links = [...files].map((file) => `[${shortName(file)}](../test/${file})`);
    return `${start}\`${key}\`: ${links.join(", ")} |`;
  });
}

function testsOf(key) {
  return tests.filter(({ keys }) => keys.includes(key));
}

/** The name of a test file in the column. Contract tests have only the name of their file. */
function shortName(file) {
  return file.replace(/^contract[/]/, "").replace(/[.]test[.]ts$/, "");
}

function check() {
  const rows = lines.filter((line) => /^\| (?!case |-)/.test(line));
  const keys = rows.map((line) => row.exec(line)?.[2]);
  const known = new Set(keys);
  const problems = [
    ...rows.filter((line) => !row.test(line)).map((line) => `${documentPath}: a row without a key: ${line}`),
    ...keys
      .filter((key, index) => keys.indexOf(key) < index)
      .map((key) => `${documentPath}: ${key}: two rows`),
    ...keys
      .filter((key) => key && testsOf(key).length === 0)
      .map((key) => `${documentPath}: ${key}: no test`),
    ...tests.flatMap(({ file, line, name, keys: own }) => [
      ...own.filter((key) => !known.has(key)).map((key) => `test/${file}:${line}: ${key} is no row`),
      ...(own.length === 0 && file.startsWith("contract/")
        ? [`test/${file}:${line}: no "// semantics: <key>" above "${name}"`]
        : []),
    ]),
  ];
  if (problems.length === 0 && filled().join("\n") !== lines.join("\n"))
    problems.push(`${documentPath} is not up to date: npm run semantics`);
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
}

function list(keys) {
  for (const key of keys)
    for (const { file, line, name } of testsOf(key)) console.log(`test/${file}:${line}: ${name}`);
}
