import { outOfRange, wholeNumber, wrongType } from "../../core/errors/errors.js";
import { refuseUnknown } from "../../core/errors/fields.js";
import { nsPerMs } from "../time/event.js";
import { type Firewall, type Profile, profiles } from "./profiles.js";
import type { GilbertElliott, LinkDirections, LinkInput, LinkSettings, ProfileName } from "./settings.js";

/** Complete and valid settings of one direction. Times are whole nanoseconds. */
export interface CheckedSettings {
  readonly latencyNs: number;
  readonly jitterNs: number;
  /** Chance of each packet to be lost; unused with `lossStates`. */
  readonly lossRatio: number;
  /** Infinity if bursts have no limit. */
  readonly lossBurstMost: number;
  /** From `gilbertElliott`, or computed from `lossRatio` and `lossBurstLength`. */
  readonly lossStates: CheckedStates | undefined;
  readonly duplicateRatio: number;
  readonly reorderRatio: number;
  readonly reorderNs: number;
  readonly corruptRatio: number;
  readonly corruptPasses: boolean;
  readonly rateBps: number;
  readonly queueBytes: number;
  readonly mtuBytes: number;
  /** What the profile's firewall drops. */
  readonly firewall: Required<Firewall>;
}

/** Complete settings of the Gilbert-Elliott model. */
export interface CheckedStates {
  readonly toBadRatio: number;
  readonly toGoodRatio: number;
  readonly goodLossRatio: number;
  readonly badLossRatio: number;
}

/** Both directions of a link, checked. */
export interface CheckedLink {
  readonly up: CheckedSettings;
  readonly down: CheckedSettings;
}

/**
 * Checks the settings of a link.
 *
 * @param where is the start of each error message, such as `"link camera–desk"`.
 * @throws as `checkSettings` does.
 */
export function checkLink(link: LinkInput, where: string): CheckedLink {
  if (!hasDirections(link)) {
    return { up: checkSettings(link, where, "up"), down: checkSettings(link, where, "down") };
  }
  refuseUnknown(link, ["up", "down"], `${where}: a field beside up and down`);
  const { up = {}, down = {} } = link;
  return {
    up: checkSettings(up, `${where}, up`, "up"),
    down: checkSettings(down, `${where}, down`, "down"),
  };
}

/**
 * Checks the settings of one direction of a link, and fills in the defaults.
 *
 * @param where is the start of each error message, such as `"link camera–desk"`.
 * @param direction of the profile to use.
 * @throws `TypeError` `ERR_INVALID_ARG_TYPE` for values of another type; `RangeError` `ERR_OUT_OF_RANGE` for values out
 *   of range, unknown fields and profiles, and fields that contradict each other.
 */
export function checkSettings(
  settings: LinkSettings | ProfileName,
  where: string,
  direction: "up" | "down",
): CheckedSettings {
  const { given, firewall } = withProfile(settings, where, direction);
  const ratio = (field: string): number => read(given, field, where, ratioRange, 0);
  const nanoseconds = (field: string, fallback: number): number =>
    Math.round(read(given, field, where, msRange, fallback) * nsPerMs);
  const rateBps = checkRate(given.rateBps, `${where}: rateBps`);
  return {
    latencyNs: nanoseconds("latencyMs", 0),
    jitterNs: nanoseconds("jitterMs", 0),
    ...checkLoss(given, where),
    duplicateRatio: ratio("duplicateRatio"),
    reorderRatio: ratio("reorderRatio"),
    reorderNs: nanoseconds("reorderMs", 10),
    corruptRatio: ratio("corruptRatio"),
    corruptPasses: checkFlag(given.corruptPasses, `${where}: corruptPasses`),
    rateBps,
    queueBytes: checkQueue(given.queueBytes, `${where}: queueBytes`, rateBps),
    mtuBytes: checkBytes(given.mtuBytes, `${where}: mtuBytes`, 1500, 68, 65_536),
    firewall: { dropFragments: firewall?.dropFragments ?? false, dropIcmp: firewall?.dropIcmp ?? false },
  };
}

/**
 * Checks the settings of a firewall.
 *
 * @throws `TypeError`, `RangeError` naming `where`, for values of another type and unknown fields.
 */
export function checkFirewall(firewall: unknown, where: string): Required<Firewall> {
  if (!isRecord(firewall)) throw wrongType(where, "an object", firewall);
  refuseUnknown(firewall, ["dropFragments", "dropIcmp"], `${where}: a field`);
  return {
    dropFragments: checkFlag(firewall.dropFragments, `${where}: dropFragments`),
    dropIcmp: checkFlag(firewall.dropIcmp, `${where}: dropIcmp`),
  };
}

/** Whether the settings of a link are given for each direction. */
export function hasDirections(link: LinkInput): link is LinkDirections {
  return isRecord(link) && ("up" in link || "down" in link);
}

type Fields = Readonly<Record<string, unknown>>;

/** The valid numbers of a field, and their description in an error. */
interface Range {
  readonly min: number;
  readonly max: number;
  readonly text: string;
}

const ratioRange: Range = { min: 0, max: 1, text: "a ratio from 0 to 1" };
const msRange: Range = { min: 0, max: 86_400_000, text: "milliseconds from 0 to 86400000" };
const meanPacketsRange: Range = { min: 1, max: 10_000, text: "a mean number of packets from 1 to 10000" };

const maxQueueSeconds = 86_400;

const linkFields: Readonly<Record<keyof LinkSettings, true>> = {
  profile: true,
  latencyMs: true,
  jitterMs: true,
  lossRatio: true,
  lossBurstLength: true,
  lossBurstMost: true,
  gilbertElliott: true,
  duplicateRatio: true,
  reorderRatio: true,
  reorderMs: true,
  corruptRatio: true,
  corruptPasses: true,
  rateBps: true,
  queueBytes: true,
  mtuBytes: true,
};

const stateFields: Readonly<Record<keyof GilbertElliott, true>> = {
  toBadRatio: true,
  toGoodRatio: true,
  goodLossRatio: true,
  badLossRatio: true,
};

/** The given fields, and the fields of the profile that they do not override. */
function withProfile(
  settings: unknown,
  where: string,
  direction: "up" | "down",
): { given: Fields; firewall: Firewall | undefined } {
  if (typeof settings === "string") return withProfile({ profile: settings }, where, direction);
  if (!isRecord(settings)) throw wrongType(where, "settings of a link or the name of a profile", settings);
  refuseUnknown(settings, Object.keys(linkFields), `${where}: a field`);
  const own: Fields = Object.fromEntries(
    Object.entries(settings).filter(([field, value]) => field !== "profile" && value !== undefined),
  );
  if (settings.profile === undefined) return { given: own, firewall: undefined };
  const profile = findProfile(settings.profile, `${where}: profile`);
  const base: LinkSettings = profile[direction];
  const { lossRatio, lossBurstLength, lossBurstMost, gilbertElliott, ...rest } = base;
  if ("lossRatio" in own || "gilbertElliott" in own) {
    return { given: { ...rest, ...own }, firewall: profile.firewall };
  }
  // The two kinds of bursts exclude each other.
  const ownBursts = "lossBurstLength" in own || "lossBurstMost" in own;
  const bursts = ownBursts ? {} : { lossBurstLength, lossBurstMost };
  return { given: { ...rest, lossRatio, gilbertElliott, ...bursts, ...own }, firewall: profile.firewall };
}

function findProfile(name: unknown, what: string): Profile {
  const names = Object.keys(profiles);
  if (typeof name !== "string") throw wrongType(what, `one of ${names.join(", ")}`, name);
  if (!names.includes(name)) throw outOfRange(what, `one of ${names.join(", ")}`, name);
  return profiles[name as ProfileName];
}

function checkLoss(
  given: Fields,
  where: string,
): Pick<CheckedSettings, "lossRatio" | "lossBurstMost" | "lossStates"> {
  const { gilbertElliott, lossBurstLength, lossBurstMost } = given;
  const refuse = (field: string, beside: string): void => {
    if (given[field] === undefined || given[beside] === undefined) return;
    throw outOfRange(`${where}: ${field}`, `left out if ${beside} is given`, given[field]);
  };
  refuse("lossRatio", "gilbertElliott");
  refuse("lossBurstLength", "gilbertElliott");
  refuse("lossBurstMost", "gilbertElliott");
  refuse("lossBurstLength", "lossBurstMost");
  if (gilbertElliott !== undefined) {
    return { lossRatio: 0, lossBurstMost: Infinity, lossStates: checkStates(gilbertElliott, where) };
  }
  const bursts = lossBurstLength !== undefined || lossBurstMost !== undefined;
  const lossRatio = read(given, "lossRatio", where, ratioRange, bursts ? undefined : 0);
  if (lossBurstLength !== undefined) {
    const length = read(given, "lossBurstLength", where, meanPacketsRange, undefined);
    const maxRatio = length / (length + 1);
    if (lossRatio > maxRatio) {
      throw outOfRange(
        `${where}: lossRatio`,
        `at most ${maxRatio} with a lossBurstLength of ${length}`,
        lossRatio,
      );
    }
    return { lossRatio, lossBurstMost: Infinity, lossStates: gilbert(lossRatio, length) };
  }
  if (lossBurstMost === undefined) return { lossRatio, lossBurstMost: Infinity, lossStates: undefined };
  return {
    lossRatio,
    lossBurstMost: wholeNumber(`${where}: lossBurstMost`, lossBurstMost, 1, 10_000),
    lossStates: undefined,
  };
}

/** Gilbert (1960): every packet is lost in the bad state, none in the good state. */
function gilbert(lossRatio: number, length: number): CheckedStates {
  const toGoodRatio = 1 / length;
  // With the largest ratio that the length allows, rounding may give more than 1.
  const toBadRatio = Math.min(1, (toGoodRatio * lossRatio) / (1 - lossRatio));
  return { toBadRatio, toGoodRatio, goodLossRatio: 0, badLossRatio: 1 };
}

function checkStates(states: unknown, where: string): CheckedStates {
  const what = `${where}: gilbertElliott`;
  if (!isRecord(states)) throw wrongType(what, "an object", states);
  refuseUnknown(states, Object.keys(stateFields), `${what}: a field`);
  return {
    toBadRatio: read(states, "toBadRatio", what, ratioRange, undefined),
    toGoodRatio: read(states, "toGoodRatio", what, ratioRange, undefined),
    goodLossRatio: read(states, "goodLossRatio", what, ratioRange, 0),
    badLossRatio: read(states, "badLossRatio", what, ratioRange, 1),
  };
}

function checkRate(rateBps: unknown, what: string): number {
  const [min, max] = [100, 1e12];
  const text = `a whole number from ${min} to ${max}, or Infinity`;
  if (rateBps === undefined || rateBps === Infinity) return Infinity;
  if (typeof rateBps !== "number") throw wrongType(what, text, rateBps);
  if (!Number.isInteger(rateBps) || rateBps < min || rateBps > max) throw outOfRange(what, text, rateBps);
  return rateBps;
}

function checkQueue(queueBytes: unknown, what: string, rateBps: number): number {
  const bytes = checkBytes(queueBytes, what, 150_000, 0, 2 ** 30);
  const maxBytes = (rateBps / 8) * maxQueueSeconds;
  if (bytes > maxBytes) {
    throw outOfRange(
      what,
      `at most ${Math.floor(maxBytes)} at ${rateBps} bit/s, which wait for a day`,
      bytes,
    );
  }
  return bytes;
}

function checkBytes(bytes: unknown, what: string, fallback: number, min: number, max: number): number {
  return bytes === undefined ? fallback : wholeNumber(what, bytes, min, max);
}

function checkFlag(flag: unknown, what: string): boolean {
  if (flag === undefined) return false;
  if (typeof flag !== "boolean") throw wrongType(what, "a boolean", flag);
  return flag;
}

/** @param fallback value of a missing field; without it, the field is required. */
function read(
  fields: Fields,
  field: string,
  where: string,
  range: Range,
  fallback: number | undefined,
): number {
  const value = fields[field] === undefined ? fallback : fields[field];
  const what = `${where}: ${field}`;
  if (typeof value !== "number") throw wrongType(what, range.text, value);
  // Written so that NaN is refused.
  if (!(value >= range.min && value <= range.max)) throw outOfRange(what, range.text, value);
  return value;
}

function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
