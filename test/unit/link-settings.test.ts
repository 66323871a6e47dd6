import { expect, test } from "vitest";

import { checkLink, checkSettings } from "../../src/sim/link/check.js";
import { profiles } from "../../src/sim/link/profiles.js";
import { scenarios } from "../../src/sim/link/scenarios.js";
import type { LinkSettings } from "../../src/sim/link/settings.js";

const where = "link camera–desk";

/** Checks any value, as JavaScript may pass it. */
const check = (settings: unknown) => checkSettings(settings as LinkSettings, where, "up");
const link = (settings: unknown) => checkLink(settings as LinkSettings, where);

test("empty settings change nothing about packets", () => {
  expect(check({})).toEqual({
    latencyNs: 0,
    jitterNs: 0,
    lossRatio: 0,
    lossBurstMost: Infinity,
    lossStates: undefined,
    duplicateRatio: 0,
    reorderRatio: 0,
    reorderNs: 10_000_000,
    corruptRatio: 0,
    corruptPasses: false,
    rateBps: Infinity,
    queueBytes: 150_000,
    mtuBytes: 1500,
    firewall: { dropFragments: false, dropIcmp: false },
  });
});

test("milliseconds become whole nanoseconds", () => {
  const { latencyNs, jitterNs, reorderNs } = check({
    latencyMs: 0.1,
    jitterMs: 1 / 3,
    reorderMs: 86_400_000,
  });
  expect([latencyNs, jitterNs, reorderNs]).toEqual([100_000, 333_333, 86_400e9]);
});

test("a field that is undefined counts as missing", () => {
  expect(check({ latencyMs: undefined, gilbertElliott: undefined, corruptPasses: undefined })).toEqual(
    check({}),
  );
});

test("a loss ratio and a mean burst become Gilbert's model", () => {
  expect(check({ lossRatio: 0.1, lossBurstLength: 4 }).lossStates).toEqual({
    toBadRatio: (0.25 * 0.1) / (1 - 0.1),
    toGoodRatio: 0.25,
    goodLossRatio: 0,
    badLossRatio: 1,
  });
  expect(check({ lossRatio: 0.75, lossBurstLength: 3 }).lossStates?.toBadRatio).toBe(1);
  expect(check({ gilbertElliott: { toBadRatio: 0.1, toGoodRatio: 0.5 } }).lossStates).toEqual({
    toBadRatio: 0.1,
    toGoodRatio: 0.5,
    goodLossRatio: 0,
    badLossRatio: 1,
  });
});

const states = { toBadRatio: 0.1, toGoodRatio: 0.5 };
const wrong: readonly (readonly [settings: unknown, error: string])[] = [
  [{ lossRatio: 1.5 }, "lossRatio must be a ratio from 0 to 1, not 1.5"],
  [{ lossRatio: -0.1 }, "lossRatio must be a ratio from 0 to 1, not -0.1"],
  [{ duplicateRatio: NaN }, "duplicateRatio must be a ratio from 0 to 1, not NaN"],
  [{ reorderRatio: Infinity }, "reorderRatio must be a ratio from 0 to 1, not Infinity"],
  [{ latencyMs: -1 }, "latencyMs must be milliseconds from 0 to 86400000, not -1"],
  [{ jitterMs: Infinity }, "jitterMs must be milliseconds from 0 to 86400000, not Infinity"],
  [{ reorderMs: 86_400_001 }, "reorderMs must be milliseconds from 0 to 86400000, not 86400001"],
  [{ rateBps: 0 }, "rateBps must be a whole number from 100 to 1000000000000, or Infinity, not 0"],
  [{ rateBps: NaN }, "rateBps must be a whole number from 100 to 1000000000000, or Infinity, not NaN"],
  [{ rateBps: 1000.5 }, "rateBps must be a whole number from 100 to 1000000000000, or Infinity, not 1000.5"],
  [{ queueBytes: -1 }, "queueBytes must be a whole number from 0 to 1073741824, not -1"],
  [{ queueBytes: Infinity }, "queueBytes must be a whole number from 0 to 1073741824, not Infinity"],
  [
    { rateBps: 100, queueBytes: 2_000_000 },
    "queueBytes must be at most 1080000 at 100 bit/s, which wait for a day, not 2000000",
  ],
  [{ mtuBytes: 67 }, "mtuBytes must be a whole number from 68 to 65536, not 67"],
  [{ mtuBytes: 65_537 }, "mtuBytes must be a whole number from 68 to 65536, not 65537"],
  [{ lossRatio: 0.1, lossBurstMost: 0 }, "lossBurstMost must be a whole number from 1 to 10000, not 0"],
  [
    { lossRatio: 0.1, lossBurstLength: 0.5 },
    "lossBurstLength must be a mean number of packets from 1 to 10000, not 0.5",
  ],
  [{ lossRatio: 1, lossBurstLength: 3 }, "lossRatio must be at most 0.75 with a lossBurstLength of 3, not 1"],
  [
    { lossRatio: 0.1, gilbertElliott: states },
    "lossRatio must be left out if gilbertElliott is given, not 0.1",
  ],
  [
    { lossBurstLength: 3, gilbertElliott: states },
    "lossBurstLength must be left out if gilbertElliott is given, not 3",
  ],
  [
    { lossBurstMost: 3, gilbertElliott: states },
    "lossBurstMost must be left out if gilbertElliott is given, not 3",
  ],
  [
    { lossRatio: 0.1, lossBurstLength: 2, lossBurstMost: 3 },
    "lossBurstLength must be left out if lossBurstMost is given, not 2",
  ],
  [
    { gilbertElliott: { ...states, toBadRatio: 2 } },
    "gilbertElliott: toBadRatio must be a ratio from 0 to 1, not 2",
  ],
  [
    { gilbertElliott: { ...states, p: 2 } },
    'gilbertElliott: a field must be one of toBadRatio, toGoodRatio, goodLossRatio, badLossRatio, not "p"',
  ],
  [
    { loss: 0.1 },
    "a field must be one of profile, latencyMs, jitterMs, lossRatio, lossBurstLength, lossBurstMost, gilbertElliott, " +
      "duplicateRatio, reorderRatio, reorderMs, corruptRatio, corruptPasses, rateBps, queueBytes, mtuBytes, " +
      'not "loss"',
  ],
  ["ltee", 'profile must be one of lan, wifi-busy, lte, satellite, broken-firewall, iot-lossy, not "ltee"'],
  [
    { profile: "toString" },
    'profile must be one of lan, wifi-busy, lte, satellite, broken-firewall, iot-lossy, not "toString"',
  ],
];

test.each(wrong)("%j: %s", (settings, error) => {
  const thrown = expect.objectContaining({
    name: "RangeError",
    code: "ERR_OUT_OF_RANGE",
    message: `${where}: ${error}`,
  }) as Error;
  expect(() => check(settings)).toThrow(thrown);
});

const wrongTypes: readonly (readonly [settings: unknown, error: string])[] = [
  [{ lossRatio: "10%" }, ': lossRatio must be a ratio from 0 to 1, not "10%"'],
  [{ lossRatio: null }, ": lossRatio must be a ratio from 0 to 1, not null"],
  [{ latencyMs: 5n }, ": latencyMs must be milliseconds from 0 to 86400000, not 5n"],
  [
    { rateBps: "1mbit" },
    ': rateBps must be a whole number from 100 to 1000000000000, or Infinity, not "1mbit"',
  ],
  [{ mtuBytes: null }, ": mtuBytes must be a number, not null"],
  [{ queueBytes: null }, ": queueBytes must be a number, not null"],
  [{ rateBps: null }, ": rateBps must be a whole number from 100 to 1000000000000, or Infinity, not null"],
  [{ corruptPasses: 1 }, ": corruptPasses must be a boolean, not 1"],
  [{ corruptPasses: null }, ": corruptPasses must be a boolean, not null"],
  [{ lossBurstLength: 3 }, ": lossRatio must be a ratio from 0 to 1, not undefined"],
  [{ gilbertElliott: 0.5 }, ": gilbertElliott must be an object, not 0.5"],
  [{ gilbertElliott: null }, ": gilbertElliott must be an object, not null"],
  [
    { gilbertElliott: { toBadRatio: 0.1 } },
    ": gilbertElliott: toGoodRatio must be a ratio from 0 to 1, not undefined",
  ],
  [
    { profile: 5 },
    ": profile must be one of lan, wifi-busy, lte, satellite, broken-firewall, iot-lossy, not 5",
  ],
  [undefined, " must be settings of a link or the name of a profile, not undefined"],
  [null, " must be settings of a link or the name of a profile, not null"],
  [[], " must be settings of a link or the name of a profile, not an array"],
];

test.each(wrongTypes)("%o%s", (settings, error) => {
  const thrown = expect.objectContaining({
    name: "TypeError",
    code: "ERR_INVALID_ARG_TYPE",
    message: `${where}${error}`,
  }) as Error;
  expect(() => check(settings)).toThrow(thrown);
});

test("each direction of a link has its own settings, and errors name the direction", () => {
  const alike = link({ latencyMs: 3 });
  expect(alike.up).toEqual(alike.down);
  expect(link({ up: { latencyMs: 3 }, down: undefined })).toEqual({
    up: check({ latencyMs: 3 }),
    down: check({}),
  });
  expect(() => link({ up: {}, down: { mtuBytes: 5 } })).toThrow(
    `${where}, down: mtuBytes must be a whole number from 68 to 65536, not 5`,
  );
  expect(() => link({ up: {}, latencyMs: 5 })).toThrow(
    `${where}: a field beside up and down must be one of up, down, not "latencyMs"`,
  );
});

test("a profile can replace settings, for each direction", () => {
  const { up, down } = link("satellite");
  expect([up.rateBps, down.rateBps]).toEqual([
    profiles.satellite.up.rateBps,
    profiles.satellite.down.rateBps,
  ]);
  expect(up.rateBps).toBeLessThan(down.rateBps);
  expect(link({ profile: "satellite" })).toEqual({ up, down });
  expect(link({ up: "satellite", down: { profile: "satellite", mtuBytes: 576 } })).toEqual({
    up,
    down: { ...down, mtuBytes: 576 },
  });
});

test("fields next to a profile override its fields, and a loss overrides its whole model of losses", () => {
  const wifi = link("wifi-busy").up;
  expect(wifi.lossStates).toBeDefined();
  expect(link({ profile: "wifi-busy", lossRatio: undefined, latencyMs: undefined }).up).toEqual(wifi);
  expect(link({ profile: "wifi-busy", latencyMs: 7 }).up).toEqual({ ...wifi, latencyNs: 7e6 });
  expect(link({ profile: "wifi-busy", lossRatio: 1 }).up).toEqual({
    ...wifi,
    lossRatio: 1,
    lossStates: undefined,
  });
  expect(link({ profile: "wifi-busy", gilbertElliott: states }).up.lossStates).toMatchObject(states);
  expect(link({ profile: "wifi-busy", lossBurstLength: 2 }).up.lossStates?.toGoodRatio).toBe(0.5);
  expect(link({ profile: "wifi-busy", lossBurstMost: 3 }).up).toMatchObject({
    lossRatio: 0.02,
    lossBurstMost: 3,
    lossStates: undefined,
  });
});

test("the firewall of a profile applies with any fields next to it", () => {
  const all = { dropFragments: true, dropIcmp: true };
  const { up, down } = link({ profile: "broken-firewall", lossRatio: 0.1 });
  expect([up.firewall, down.firewall]).toEqual([all, all]);
});

test.each(Object.entries(profiles))(
  "the profile %s is valid, and has a description and a source",
  (name, profile) => {
    expect(() => link(name)).not.toThrow();
    expect(profile.description).toMatch(/\S[.]$/);
    expect(profile.source).toMatch(/\S[.]$/);
  },
);

test.each(Object.entries(scenarios))(
  "the scenario %s is valid, and has a description and a source",
  (_, scenario) => {
    expect(() => link({ up: scenario.up, down: scenario.down })).not.toThrow();
    expect(scenario.description).toMatch(/\S[.]$/);
    expect(scenario.source).toMatch(/testcase(s_quic)?[.]py/);
  },
);
