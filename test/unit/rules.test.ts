import { describe, expect, test } from "vitest";

import { readRule, readRules } from "../../src/cli/rules.js";
import { checkRule, formatRule } from "../../src/proxy/rules.js";

test.for([
  ["drop", "drop"],
  ["drop up numbers=1-2", "drop up numbers=1-2"],
  ["numbers=3,7,100- drop down", "drop down numbers=3,7,100-"],
  ["delay=0.2s client=10.0.0.7", "delay=200ms client=10.0.0.7"],
  ["drop client=[::1]:5000", "drop client=[::1]:5000"],
  ["corrupt text=GET@0", "corrupt text=GET@0"],
  ['drop text="two words"@4 up', 'drop up text="two words"@4'],
  ['drop text="a@b"', 'drop text="a@b"'],
  ["drop hex=00FF@65506", "drop hex=00ff@65506"],
  ["drop hex=474554", "drop text=GET"],
])("%j is read, and written back as %j", ([text, written]) => {
  const rule = readRule(text!);
  expect(formatRule(checkRule(rule, "it"))).toBe(written);
  expect(formatRule(checkRule(readRule(written!), "it"))).toBe(written);
});

test("each --rule adds a rule", () => {
  expect(readRules("corrupt", readRules("drop"))).toEqual([{ action: "drop" }, { action: "corrupt" }]);
});

// semantics: relay-bad-rule
test.for([
  ["", /does not say what to do/],
  ["up", /does not say what to do/],
  ["lose", /has the word "lose": it takes drop, corrupt or delay=/],
  ["drop corrupt", /says what to do twice/],
  ["drop up down", /says direction twice/],
  ["drop text=a hex=00", /says what they contain twice/],
  ["delay", /has the word "delay"/],
  ["delay=50us", /--rule: delay takes a time, such as/],
  ["drop client=camera.local", /cannot be: client must be an IP address/],
  ["drop client=10.0.0.7:0", /cannot be: client must be an IP address/],
  ["drop numbers=0", /cannot be: numbers must be numbers from 1 on/],
  ["drop numbers=3-2", /cannot be: numbers must be/],
  ["drop numbers=", /cannot be: numbers must be/],
  ["drop numbers=1,,2", /cannot be: numbers must be/],
  ["drop hex=0", /--rule: hex= takes pairs of hex digits/],
  ["drop hex=", /has no pattern in "hex=": such as hex=00ff@4/],
  ["drop text=a@b", /has no pattern in "text=a@b"/],
  ["drop text=GET@65507", /cannot be: at must be a whole number from 0 to 65506/],
  ['drop text="open', /double quote without an end/],
  [`drop text=${"a".repeat(65)}`, /cannot be: bytes must be 1 to 64 bytes/],
] as const)("%j is refused", ([text, message]) => {
  expect(() => readRule(text)).toThrow(message);
  expect(() => readRule(text)).toThrow(/^--rule/);
});

describe("a wrong rule in code", () => {
  test.for<[string, unknown, RegExp]>([
    ["a rule that is no object", undefined, /^it must be an object with an action/],
    ["no action", {}, /^it: action must be "drop", "corrupt" or \{ delayMs \}/],
    ["an unknown action", { action: "lose" }, /^it: action must be/],
    ["a delay without a time", { action: {} }, /^it: action: delayMs must be milliseconds/],
    ["a delay below 0", { action: { delayMs: -1 } }, /^it: action: delayMs must be/],
    ["a mistyped field", { action: "drop", directon: "up" }, /^it: a field must be one of action, direction/],
    ["an unknown direction", { action: "drop", direction: "left" }, /^it: direction must be up or down/],
    ["an offset of nothing", { action: "drop", at: 0 }, /^it: at must be left out without bytes/],
    ["bytes of another kind", { action: "drop", bytes: 7 }, /^it: bytes must be a string or a Uint8Array/],
    ["no bytes at all", { action: "drop", bytes: "" }, /^it: bytes must be 1 to 64 bytes/],
    ["a condition that is no function", { action: "drop", when: true }, /^it: when must be a function/],
    ["numbers of another kind", { action: "drop", numbers: 2 }, /^it: numbers must be numbers from 1 on/],
    ["a number that is not whole", { action: "drop", numbers: [1.5] }, /^it: numbers must be a whole number/],
    ["no numbers", { action: "drop", numbers: [] }, /^it: numbers must be 1 to 256 numbers/],
    ["a client of another kind", { action: "drop", client: 7 }, /^it: client must be an IP address/],
  ])("%s is refused", ([, rule, message]) => {
    expect(() => checkRule(rule as never, "it")).toThrow(message);
  });
});
