import type { LinkSettings, ProfileName } from "./settings.js";

/** A link of everyday life. */
export interface Profile {
  /** What it is, in a sentence. */
  readonly description: string;
  /** Where its numbers come from, and which of them are a choice of ours. */
  readonly source: string;
  /** From the device to the network. */
  readonly up: LinkSettings;
  /** From the network to the device. */
  readonly down: LinkSettings;
  /** What a firewall on the way drops, both ways. */
  readonly firewall?: Firewall;
}

/** What a firewall drops without a word. */
export interface Firewall {
  /** Fragments of IP packets, the first among them. @default false */
  readonly dropFragments?: boolean;
  /** ICMP errors. @default false */
  readonly dropIcmp?: boolean;
}

/** Links by name. */
export const profiles: Readonly<Record<ProfileName, Profile>> = {
  lan: { description: "", source: "", up: {}, down: {} },
  "wifi-busy": { description: "", source: "", up: {}, down: {} },
  lte: { description: "", source: "", up: {}, down: {} },
  satellite: { description: "", source: "", up: {}, down: {} },
  "broken-firewall": { description: "", source: "", up: {}, down: {} },
  "iot-lossy": { description: "", source: "", up: {}, down: {} },
};
