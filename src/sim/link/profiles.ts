import type { LinkSettings, ProfileName } from "./settings.js";

/** A kind of link that is common in practice. */
export interface Profile {
  /** The link in one sentence. */
  readonly description: string;
  /** The sources of the numbers, and which numbers are our choice. */
  readonly source: string;
  /** From the device to the network. */
  readonly up: LinkSettings;
  /** From the network to the device. */
  readonly down: LinkSettings;
  /** What a firewall on the path drops, in both directions. */
  readonly firewall?: Firewall;
}

/** What a firewall drops silently. */
export interface Firewall {
  /** Fragments of IP packets, including first fragments. @default false */
  readonly dropFragments?: boolean | undefined;
  /** ICMP errors. @default false */
  readonly dropIcmp?: boolean | undefined;
}

/** Links by name. */
export const profiles: Readonly<Record<ProfileName, Profile>> = {
  lan: {
    description: "A switched gigabit Ethernet without other traffic.",
    source:
      "Rate: 1000BASE-T (IEEE 802.3ab). MTU: RFC 894. Latency and jitter are our choice, for a switch or two; " +
      "loss is none.",
    ...bothWays({ latencyMs: 0.1, jitterMs: 0.05, rateBps: 1_000_000_000 }),
  },
  "wifi-busy": {
    description: "A Wi-Fi that many share, with varying delay and bursts of losses.",
    source:
      "Jitter: half of the round trips over the hop take more than 20 ms, as Pei et al. measured at 47 access points " +
      '("WiFi can be the weakest link of round trip network latency in the wild", INFOCOM 2016); the tail that they ' +
      "saw, a tenth above 100 ms, comes only from the queue. Rates and latency: the profile Wi-Fi of Firefox's network monitor (30 and 15 Mbps, 2 ms). " +
      "2% lost, 3 in a row on average, and the queue are our choice.",
    up: { ...wifi(), rateBps: 15_000_000 },
    down: { ...wifi(), rateBps: 30_000_000 },
  },
  lte: {
    description: "A phone on LTE: a round trip of 70 ms on average, and a path MTU below Ethernet's.",
    source:
      "Rate and mean round trip: WebPageTest's connectivity profile LTE (12 Mbps, 70 ms RTT), " +
      "www/settings/connectivity.ini.sample. MTU: the 1358 bytes that 3GPP TS 24.301, section 6.6.4.2, recommends. " +
      "How the round trip divides into latency and jitter, 0.1% loss and the deep queue (200 ms) are our choice.",
    ...bothWays({
      latencyMs: 25,
      jitterMs: 20,
      lossRatio: 0.001,
      rateBps: 12_000_000,
      queueBytes: 300_000,
      mtuBytes: 1358,
    }),
  },
  satellite: {
    description:
      "A geostationary satellite: a round trip of 600 ms, ten times as fast down as up, and 1% loss.",
    source:
      'The lossy emulated link ("satloss") of "Performance of QUIC Implementations Over Geostationary Satellite ' +
      'Links" (arXiv 2202.08228): sedrubal/quic-interop-runner, testcases.py, MeasurementSatelliteLoss, with queues ' +
      "of 25 packets. RFC 2488, section 2: light alone takes 239.6 to 279.0 ms one way.",
    up: { ...satellite(), rateBps: 2_000_000 },
    down: { ...satellite(), rateBps: 20_000_000 },
  },
  "broken-firewall": {
    description: "A path that drops fragments and ICMP, so that datagrams above its MTU disappear silently.",
    source:
      "RFC 8900, section 3 (black holes by the loss of ICMP and by filters), and RFC 2923. " +
      "Its 10 ms of latency are our choice.",
    ...bothWays({ latencyMs: 10 }),
    firewall: { dropFragments: true, dropIcmp: true },
  },
  "iot-lossy": {
    description: "A low-power radio: slow, a small MTU, a short queue, and one packet in ten lost.",
    source:
      "MTU: 6LoWPAN's 1280 bytes (RFC 4944, section 4). Rate: IEEE 802.15.4 has 250 kbit/s or less (RFC 6282, section " +
      '1), of which 100 are left to packets, by our choice. "High loss rates, low data rates, and instability" (RFC ' +
      "6550); 10% lost, 2 in a row on average, latency, jitter and a queue of 8 packets are our choice.",
    ...bothWays({
      latencyMs: 10,
      jitterMs: 30,
      lossRatio: 0.1,
      lossBurstLength: 2,
      rateBps: 100_000,
      queueBytes: 8 * 1280,
      mtuBytes: 1280,
    }),
  },
};

function wifi(): LinkSettings {
  return { latencyMs: 2, jitterMs: 16, lossRatio: 0.02, lossBurstLength: 3 };
}

function satellite(): LinkSettings {
  return { latencyMs: 300, lossRatio: 0.01, queueBytes: 25 * 1500 };
}

/** The same settings in both directions. */
export function bothWays(settings: LinkSettings): Pick<Profile, "up" | "down"> {
  return { up: settings, down: settings };
}
