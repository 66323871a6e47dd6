/** Options of `datagram proxy` for the simulated link, and the text that describes the link. */

import { type Command, Option } from "commander";

import { meanLoss } from "../proxy/fault-texts.js";
import { type DirectionFaults, checkDirections } from "../proxy/options.js";
import { profiles } from "../sim/link/profiles.js";
import type { GilbertElliott, LinkInput, LinkSettings, ProfileName } from "../sim/link/settings.js";
import { nsPerMs } from "../sim/time/event.js";
import { formatDuration, formatRate, formatShare } from "../sim/link/unit-texts.js";
import { usage } from "./exit.js";
import { bitRate, byteSize, duration, share, shares, wholeNumber } from "./option-values.js";

/** A setting of a link with its option. The name with `up-` or `down-` before it is the option for one direction. */
interface LinkOption {
  readonly field: keyof LinkSettings;
  readonly name: string;
  readonly argument: string;
  readonly text: string;
  readonly parse: (name: string) => (text: string) => number | GilbertElliott;
}

const linkOptions: readonly LinkOption[] = [
  { field: "lossRatio", name: "loss", argument: "share", text: "lose this share of datagrams", parse: share },
  {
    field: "lossBurstLength",
    name: "loss-burst",
    argument: "n",
    text: "lose n in a row on average, instead of single ones",
    parse: (name) => wholeNumber(name, 1, 10_000),
  },
  {
    field: "lossBurstMost",
    name: "loss-burst-most",
    argument: "n",
    text: "lose at most n in a row, each independently",
    parse: (name) => wholeNumber(name, 1, 10_000),
  },
  {
    field: "gilbertElliott",
    name: "gilbert-elliott",
    argument: "shares",
    text: "Gilbert-Elliott model: to bad, to good [, loss in bad [, loss in good]]",
    parse: gilbertElliott,
  },
  { field: "latencyMs", name: "delay", argument: "time", text: "deliver this much later", parse: delay },
  {
    field: "jitterMs",
    name: "jitter",
    argument: "time",
    text: "add a random delay up to this",
    parse: delay,
  },
  {
    field: "duplicateRatio",
    name: "duplicate",
    argument: "share",
    text: "deliver this share twice",
    parse: share,
  },
  {
    field: "reorderRatio",
    name: "reorder",
    argument: "share",
    text: "let others overtake this share",
    parse: share,
  },
  {
    field: "reorderMs",
    name: "reorder-delay",
    argument: "time",
    text: "delay of the overtaken ones (default: 10ms)",
    parse: delay,
  },
  {
    field: "corruptRatio",
    name: "corrupt",
    argument: "share",
    text: "flip a bit in this share",
    parse: share,
  },
  {
    field: "rateBps",
    name: "rate",
    argument: "rate",
    text: "bits per second, with IP and UDP headers",
    parse: bitRate,
  },
  {
    field: "queueBytes",
    name: "queue",
    argument: "bytes",
    text: "bytes that may wait because of the rate (default: 150000)",
    parse: byteSize,
  },
  {
    field: "mtuBytes",
    name: "mtu",
    argument: "bytes",
    text: "drop larger packets, with IP and UDP headers",
    parse: (name) => wholeNumber(name, 68, 65_536),
  },
];

const directions = ["up", "down"] as const;
const meanings = { up: "from clients to the target", down: "from the target to clients" } as const;

/** The values of the options that `addFaults` adds, by their names in camel case. */
export type LinkOptionValues = Readonly<Record<string, unknown>>;

/** Adds the options to a command. The help shows only those for both directions. */
export function addLinkOptions(command: Command): Command {
  // The error of commander would not name the value that was given.
  const profile = new Option("--profile <name>", "start from the settings of a network")
    .choices(Object.keys(profiles))
    .argParser(profileName);
  command.addOption(profile);
  for (const { name, argument, text, parse } of linkOptions) {
    command.option(`--${name} <${argument}>`, text, parse(`--${name}`));
  }
  for (const direction of directions) {
    for (const { name, argument, text, parse } of linkOptions) {
      const long = `--${direction}-${name}`;
      const only = `${text}; ${meanings[direction]} only`;
      command.addOption(new Option(`${long} <${argument}>`, only).argParser(parse(long)).hideHelp());
    }
  }
  return command;
}

/** The link that the options describe, for clients over IPv4 or IPv6. @throws `Failure` if options contradict each other. */
export function linkOf(options: LinkOptionValues, overIPv4: boolean): LinkInput {
  const profile = options.profile as ProfileName | undefined;
  const [up, down] = directions.map((direction): LinkSettings => {
    const own = linkOptions.map(({ field, name }) => [
      field,
      options[camelCase(`${direction}-${name}`)] ?? options[camelCase(name)],
    ]);
    const settings = { profile, ...(Object.fromEntries(own) as LinkSettings) };
    for (const { field, name } of linkOptions.filter(({ name }) => name.startsWith("loss-burst"))) {
      if (settings[field] === undefined || settings.lossRatio !== undefined || profile !== undefined)
        continue;
      throw usage(`--${name} sets the pattern of losses, and needs --loss for their share`);
    }
    return settings;
  });
  const link = { up, down };
  try {
    checkDirections(link, overIPv4);
  } catch (error) {
    throw usage(inOptions((error as Error).message));
  }
  return link;
}

/** The text for each direction of a link. */
export function describeLink(link: LinkInput, overIPv4: boolean): [up: string, down: string] {
  const { up, down } = checkDirections(link, overIPv4);
  return [describe(up), describe(down)];
}

function describe({ settings, mtuBytes }: DirectionFaults): string {
  const { latencyNs, jitterNs, lossRatio, lossBurstMost, lossStates } = settings;
  const { duplicateRatio, reorderRatio, corruptRatio, rateBps } = settings;
  const burst = lossBurstMost < Infinity ? `, ${lossBurstMost} in a row at most` : "";
  const parts = [
    lossStates
      ? `${formatShare(meanLoss(lossStates))} lost in bursts`
      : lossRatio > 0 && `${formatShare(lossRatio)} lost${burst}`,
    latencyNs > 0 && `${formatDuration(latencyNs / nsPerMs)} late`,
    jitterNs > 0 && `up to ${formatDuration(jitterNs / nsPerMs)} of jitter`,
    duplicateRatio > 0 && `${formatShare(duplicateRatio)} twice`,
    reorderRatio > 0 && `${formatShare(reorderRatio)} reordered`,
    corruptRatio > 0 && `${formatShare(corruptRatio)} corrupted`,
    rateBps < Infinity && formatRate(rateBps),
    mtuBytes < Infinity && `packets up to ${mtuBytes} bytes`,
  ].filter((part) => typeof part === "string");
  return parts.length === 0 ? "no impairment" : parts.join(", ");
}

/** Replaces field names of a link in an error message by option names. */
function inOptions(message: string): string {
  const named = linkOptions.map(({ field, name }) => [field, `--${name}`] as const);
  return message
    .replace(/^link, (up|down): /, "$1: ")
    .replaceAll(/\b[a-z]+[A-Z]\w*/g, (word) => new Map<string, string>(named).get(word) ?? word);
}

/** Reads the four probabilities of the model, in the order of `gemodel` in tc-netem(8). */
function gilbertElliott(name: string): (text: string) => GilbertElliott {
  return (text) => {
    const [toBadRatio = 0, toGoodRatio = 0, badLossRatio, goodLossRatio] = shares(name, 2, 4)(text);
    return { toBadRatio, toGoodRatio, badLossRatio, goodLossRatio };
  };
}

function delay(name: string): (text: string) => number {
  return duration(name, 0);
}

function profileName(text: string): string {
  const names = Object.keys(profiles);
  if (names.includes(text)) return text;
  throw usage(`--profile takes one of ${names.join(", ")}, not ${JSON.stringify(text)}`);
}

function camelCase(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
