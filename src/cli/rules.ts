/** Reads rules of `datagram proxy`, such as `drop up client=10.0.0.7 text=GET@0 numbers=1-2`. */

import { Buffer } from "node:buffer";

import { type ProxyRule, checkRule } from "../proxy/rules.js";
import { type Failure, usage } from "./exit.js";
import { duration, hexBytes, quote } from "./option-values.js";

const words = "drop, corrupt or delay=<time>, and up, down, client=, text=, hex= or numbers=";

/** Reads one more rule, for an option that may be repeated. */
export function readRules(text: string, before: readonly ProxyRule[] = []): ProxyRule[] {
  return [...before, readRule(text)];
}

/** Reads a rule. @throws `Failure` that names the invalid word. */
export function readRule(text: string): ProxyRule {
  const rule = new Map<keyof ProxyRule, unknown>();
  for (const word of wordsOf(text)) {
    for (const [field, value] of Object.entries(readWord(word, text)) as [keyof ProxyRule, unknown][]) {
      if (rule.has(field)) throw invalid(text, `says ${named(field)} twice`);
      rule.set(field, value);
    }
  }
  if (!rule.has("action")) throw invalid(text, "does not say what to do: drop, corrupt or delay=<time>");
  const made = Object.fromEntries(rule) as unknown as ProxyRule;
  try {
    checkRule(made, "it");
  } catch (error) {
    throw invalid(text, `cannot be: ${(error as Error).message.replace(/^it: /, "")}`);
  }
  return made;
}

/** Splits a text at spaces, except within double quotes. */
function wordsOf(text: string): string[] {
  const word = /(?:[^\s"]|"(?:[^"\\]|\\.)*")+/g;
  if (text.replaceAll(word, "").trim() !== "") throw invalid(text, "has a double quote without an end");
  return text.match(word) ?? [];
}

function readWord(word: string, text: string): Partial<ProxyRule> {
  const [, name = "", value] = /^([a-z]+)(?:=(.*))?$/s.exec(word) ?? [];
  if (value === undefined) {
    if (name === "drop" || name === "corrupt") return { action: name };
    if (name === "up" || name === "down") return { direction: name };
  } else {
    if (name === "delay") return { action: { delayMs: duration("--rule: delay", 0)(value) } };
    if (name === "client") return { client: value };
    if (name === "numbers") return { numbers: value };
    if (name === "text" || name === "hex") return readPattern(name, value, text);
  }
  throw invalid(text, `has the word ${quote(word)}: it takes ${words}`);
}

/** Reads `GET`, `"two words"` or `0001`, each with or without an `@offset` after it. */
function readPattern(kind: "text" | "hex", value: string, text: string): Partial<ProxyRule> {
  const [, pattern = "", offset] = /^("(?:[^"\\]|\\.)*"|[^"@]*)(?:@(\d{1,5}))?$/s.exec(value) ?? [];
  if (pattern === "")
    throw invalid(
      text,
      `has no pattern in ${quote(`${kind}=${value}`)}: such as ${kind === "text" ? "text=GET@0" : "hex=00ff@4"}`,
    );
  const bytes = kind === "hex" ? hexBytes(pattern, "--rule: hex=") : Buffer.from(unquoted(pattern, text));
  return offset === undefined ? { bytes } : { bytes, at: Number(offset) };
}

function unquoted(pattern: string, text: string): string {
  if (!pattern.startsWith('"')) return pattern;
  try {
    return JSON.parse(pattern) as string;
  } catch {
    throw invalid(text, `has a text that is not a JSON string: ${quote(pattern)}`);
  }
}

function named(field: keyof ProxyRule): string {
  return { action: "what to do", bytes: "what they contain", at: "where" }[field as string] ?? field;
}

function invalid(text: string, why: string): Failure {
  return usage(`--rule ${quote(text)} ${why}`);
}
