/** The memory that C++ and TypeScript share: an addon with another layout is not used. */

import { createRequire } from "node:module";

import { describe, expect, test } from "vitest";

import { loadAddon } from "../../src/kernel/native/addon.js";
import { type Layout, layout, layoutDifference } from "../../src/kernel/native/layout.js";
import { addonPath, whySkipped } from "../process/programs.js";

const numbers = Object.entries(layout as Layout).flatMap(([group, members]) =>
  Object.entries(members).map(([name, value]) => ({ group, name, value })),
);

test("equal numbers are no difference", () => {
  expect(layoutDifference(structuredClone<Layout>(layout))).toBeUndefined();
});

test.each(numbers)(
  "if $group.$name differs, the error names it with both numbers",
  ({ group, name, value }) => {
    const other = { ...layout, [group]: { ...(layout as Layout)[group], [name]: value + 1 } };
    expect(layoutDifference(other)).toBe(
      `${group}.${name} is ${value + 1} in the addon, ${value} in this package`,
    );
  },
);

test("if two numbers differ, the first is named", () => {
  const other = { ...layout, control: { ...layout.control, tos: 4, ttl: 3 } };
  expect(layoutDifference(other)).toBe("control.ttl is 3 in the addon, 2 in this package");
});

test("a number that is missing on one side is a difference", () => {
  const { tos, ...others } = layout.control;
  expect(layoutDifference({ ...layout, control: others })).toBe(
    `control.tos is missing in the addon, ${tos} in this package`,
  );
  expect(layoutDifference({ ...layout, icmpError: { ...layout.icmpError, info: 4 } })).toBe(
    "icmpError.info is 4 in the addon, missing in this package",
  );
});

test("an addon without a layout lacks the first number", () => {
  expect(layoutDifference(undefined)).toBe("arrays.received is missing in the addon, 32 in this package");
});

const why = whySkipped("native");

describe.skipIf(why !== undefined)(`the addon${why === undefined ? "" : ` (${why})`}`, () => {
  const load = () => createRequire(import.meta.url)(`../../${addonPath}`) as { layout: Layout };

  test("the layout that the addon exports equals the one of TypeScript", () => {
    expect(load().layout).toEqual(layout);
  });

  test("an addon that differs is not used, and the reason names the number and what to do", (context) => {
    const addon = load();
    const own = addon.layout;
    context.onTestFinished(() => {
      addon.layout = own;
    });
    addon.layout = { ...own, name: { ...own.name, scope: 20 } };
    expect(loadAddon()).toBe(
      "the addon is of another build of this package (name.scope is 20 in the addon, 24 in this package): npm run build:addon",
    );
  });
});
