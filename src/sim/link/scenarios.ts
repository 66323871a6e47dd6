import { bothWays } from "./profiles.js";
import type { LinkSettings } from "./settings.js";

/** The name of a scenario in `scenarios`. */
export type ScenarioName =
  | "transfer"
  | "long-rtt"
  | "handshake-loss"
  | "transfer-loss"
  | "handshake-corruption"
  | "transfer-corruption"
  | "blackhole"
  | "rebind-port"
  | "rebind-addr";

/** A link, and the faults that happen to it over time. */
export interface Scenario {
  /** The scenario in one sentence. */
  readonly description: string;
  /** The test and the simulation that it comes from, and how it differs from them. */
  readonly source: string;
  /** From the client to the server. */
  readonly up: LinkSettings;
  /** From the server to the client. */
  readonly down: LinkSettings;
  /** From `firstMs` after the start, no packet passes in either direction for `lengthMs`. This happens once. */
  readonly blackHole?: { readonly firstMs: number; readonly lengthMs: number };
  /** The NAT of the client gives a new port to each flow of the client, and with `address` takes a new address itself. */
  readonly rebind?: { readonly address: boolean; readonly firstMs: number; readonly everyMs: number };
}

const onBottleneck = "--delay=15ms --bandwidth=10Mbps --queue=25";
const rebind = `rebind ${onBottleneck} --first-rebind=1s --rebind-freq=5s`;

/**
 * The bottleneck of all scenarios, `--delay=15ms --bandwidth=10Mbps --queue=25`. The queue is 25 packets, which we count
 * as packets of 1,500 bytes. The delay is one-way (sim/scenarios/simple-p2p/README.md).
 */
const bottleneck: LinkSettings = {
  latencyMs: 15,
  rateBps: 10_000_000,
  queueBytes: 25 * 1500,
  mtuBytes: 1500,
};

/**
 * The networks of the QUIC interop runner. Its other tests use `transfer`, except those of the amplification limit, ECN
 * and cross traffic, which need more than a link.
 */
export const scenarios: Readonly<Record<ScenarioName, Scenario>> = {
  transfer: {
    description: "A bottleneck without other traffic: 10 Mbit/s, 15 ms one way, room for 25 packets.",
    source: runner("TestCase", `simple-p2p ${onBottleneck}`, "testcase.py"),
    ...bothWays(bottleneck),
  },
  "long-rtt": {
    description: "A round trip of 1.5 s.",
    source: runner("TestCaseLongRTT", "simple-p2p --delay=750ms --bandwidth=10Mbps --queue=25"),
    ...bothWays({ ...bottleneck, latencyMs: 750 }),
  },
  "handshake-loss": {
    description: "Each packet is lost with a chance of 30%, but never more than three in a row.",
    source: runner("TestCaseHandshakeLoss", `drop-rate ${faults(30)}`),
    ...bothWays({ ...bottleneck, lossRatio: 0.3, lossBurstMost: 3 }),
  },
  "transfer-loss": {
    description: "Each packet is lost with a chance of 2%, but never more than three in a row.",
    source: runner("TestCaseTransferLoss", `drop-rate ${faults(2)}`),
    ...bothWays({ ...bottleneck, lossRatio: 0.02, lossBurstMost: 3 }),
  },
  "handshake-corruption": {
    description: "30% of packets arrive with a bit flipped and a checksum that hides it.",
    source: corruption("TestCaseHandshakeCorruption", 30),
    ...bothWays({ ...bottleneck, corruptRatio: 0.3, corruptPasses: true }),
  },
  "transfer-corruption": {
    description: "2% of packets arrive with a bit flipped and a checksum that hides it.",
    source: corruption("TestCaseTransferCorruption", 2),
    ...bothWays({ ...bottleneck, corruptRatio: 0.02, corruptPasses: true }),
  },
  blackhole: {
    description: "After 5 s, nothing passes for 2 s.",
    source: runner("TestCaseBlackhole", `blackhole ${onBottleneck} --on=5s --off=2s`),
    ...bothWays(bottleneck),
    blackHole: { firstMs: 5_000, lengthMs: 2_000 },
  },
  "rebind-port": {
    description: "After 1 s, and every 5 s from then on, the client's packets come from another port.",
    source: runner("TestCasePortRebinding", rebind),
    ...bothWays(bottleneck),
    rebind: { address: false, firstMs: 1_000, everyMs: 5_000 },
  },
  "rebind-addr": {
    description:
      "After 1 s, and every 5 s from then on, the client's packets come from another address and port.",
    source: runner("TestCaseAddressRebinding", `${rebind} --rebind-addr`),
    ...bothWays(bottleneck),
    rebind: { address: true, firstMs: 1_000, everyMs: 5_000 },
  },
};

/** The source of a scenario: the arguments that a test class of the interop runner passes to the network simulator. */
function runner(test: string, scenario: string, file = "testcases_quic.py"): string {
  return (
    `quic-interop/quic-interop-runner, ${file}, ${test}: "${scenario}"; ` +
    `quic-interop/quic-network-simulator, sim/scenarios/${scenario.slice(0, scenario.indexOf(" "))}.`
  );
}

function corruption(test: string, percent: number): string {
  const source = runner(test, `corrupt-rate ${faults(percent)}`);
  return `${source} There, one of the first bytes is replaced, in at most three packets in a row.`;
}

function faults(percent: number): string {
  const rates = `--rate_to_server=${percent} --rate_to_client=${percent}`;
  return `${onBottleneck} ${rates} --burst_to_server=3 --burst_to_client=3`;
}
