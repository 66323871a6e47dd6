/** The examples of rules in docs/proxy.md do what the page says. */

import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { readRule } from "../../src/cli/rules.js";
import { bound, client, relayTo, take, until } from "./network.js";

const source = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const text = source("docs/proxy.md");
const [, sent = ""] = /Of the datagrams (.*), one after the other:/.exec(text) ?? [];
const payloads = quoted(sent);
const rows = Array.from(
  text.matchAll(/^\| `((?:drop|delay)[^`]* [^`]*)` +\| ([^|]*)\|$/gm),
  ([, rule = "", arrive = ""]) => ({
    rule,
    arrive: quoted(arrive),
  }),
);

test("the page has the table of rules", () => {
  expect(payloads).toHaveLength(5);
  expect(rows.length).toBeGreaterThan(7);
});

test.for(rows)("with the rule $rule the datagrams of the table arrive", async ({ rule, arrive }, t) => {
  const target = await bound(t);
  const relay = await relayTo(t, target, { rules: [readRule(rule)] });
  await (await client(t, relay)).sendMany(payloads);
  await until(() => relay.stats().up.received.datagrams === payloads.length);
  expect(relay.stats().up.dropped).toBe(payloads.length - arrive.length);
  expect((await take(target, arrive.length)).map(({ data }) => data.toString())).toEqual(arrive);
});

test("every rule on a command line of the page can be read", () => {
  const rules = Array.from(text.matchAll(/--rule "(.*)"$/gm), ([, rule = ""]) => rule);
  expect(rules.length).toBeGreaterThan(0);
  for (const rule of rules) expect(readRule(rule)).toHaveProperty("action");
});

test("rules can be added and removed in code, as the page shows", async (t) => {
  const target = await bound(t);
  const relay = await relayTo(t, target);
  const lost = relay.addRule({ action: "drop", direction: "up", numbers: "1-2" });
  const late = relay.addRule({ action: { delayMs: 50 }, bytes: Buffer.from("0001", "hex"), at: 4 });
  relay.addRule({ action: "drop", when: ({ data }) => data.length > 100 });
  const data = Buffer.from("ffffffff0001", "hex");
  await (await client(t, relay)).sendMany(["1", "2", data, "4", Buffer.alloc(101)]);
  expect((await take(target, 2)).map((each) => each.size)).toEqual([1, 6]);
  expect(lost.stats()).toEqual({ rule: "drop up numbers=1-2", up: 2, down: 0, error: undefined });
  expect(late.stats().up).toBe(1);
  late.remove();
  expect(relay.stats().up.dropped).toBe(3);
  const [, shown = ""] = /```ts\n(const lost.*?)```/s.exec(text) ?? [];
  const own = source("test/proxy/document.test.ts");
  for (const line of shown.trim().split("\n"))
    expect(own).toContain(line.replace(/ \/\/.*/, "").replace(/;$/, ""));
  expect(shown).toContain(
    `lost.stats(); // { rule: "drop up numbers=1-2", up: 2, down: 0, error: undefined }`,
  );
});

function quoted(list: string): string[] {
  return Array.from(list.matchAll(/`([^`]+)`/g), ([, each = ""]) => each);
}
