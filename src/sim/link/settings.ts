/** The names of the profiles. `profiles` describes each, with the sources of its numbers. */
export type ProfileName = "lan" | "wifi-busy" | "lte" | "satellite" | "broken-firewall" | "iot-lossy";

/** A link: settings for both directions, the name of a profile, or settings for each direction. */
export type LinkInput = LinkSettings | ProfileName | LinkDirections;

/** Settings for each direction of a link. In a direction that is not named, nothing happens to packets. */
export interface LinkDirections {
  /** From the device to the network: from the node of a link that is named first, or from the clients of a proxy. */
  readonly up?: LinkSettings | ProfileName | undefined;
  /** The way back. */
  readonly down?: LinkSettings | ProfileName | undefined;
}

/** What one direction of a link does to packets. Settings that are not named are off. */
export interface LinkSettings {
  /**
   * Starts with the settings of this profile for the direction. Other fields override its fields. `lossRatio` and
   * `gilbertElliott` replace all its losses, including bursts.
   */
  readonly profile?: ProfileName | undefined;
  /** The delay of every packet in milliseconds, up to a day (86,400,000). @default 0 */
  readonly latencyMs?: number | undefined;
  /**
   * The largest additional delay in milliseconds, drawn uniformly for each packet: 0 to a day. Packets keep their order, as
   * in a queue: none overtakes the one before it. @default 0
   */
  readonly jitterMs?: number | undefined;
  /** Share of packets that are lost, 0 to 1. @default 0 */
  readonly lossRatio?: number | undefined;
  /**
   * Mean number of packets that are lost in a row, 1 to 10,000. Losses come in bursts (Gilbert's model), and their share
   * stays `lossRatio`, which is required and is at most length / (length + 1). Without this field, each packet is lost
   * independently of the others. Bursts are counted in packets, not in time: a program that sends one packet a minute meets
   * the same bursts as one that sends a thousand a second, and waiting before a retry does not help.
   */
  readonly lossBurstLength?: number | undefined;
  /**
   * The largest number of packets that are lost in a row, 1 to 10,000. Each is lost with the chance `lossRatio`, which is
   * required. The next packet passes, so the share of losses is below `lossRatio`. Not together with `lossBurstLength`.
   */
  readonly lossBurstMost?: number | undefined;
  /** Losses by the Gilbert-Elliott model, in place of `lossRatio` and bursts. */
  readonly gilbertElliott?: GilbertElliott | undefined;
  /** Share of packets that arrive twice, 0 to 1. @default 0 */
  readonly duplicateRatio?: number | undefined;
  /** Share of packets that are delayed by `reorderMs`, 0 to 1, so that later packets overtake them. @default 0 */
  readonly reorderRatio?: number | undefined;
  /** The delay of these packets in milliseconds, up to a day. @default 10 */
  readonly reorderMs?: number | undefined;
  /** Share of packets in which one bit of the payload is flipped, 0 to 1. @default 0 */
  readonly corruptRatio?: number | undefined;
  /** Whether corrupted datagrams are delivered, as without a checksum; otherwise the checksum drops them. @default false */
  readonly corruptPasses?: boolean | undefined;
  /**
   * The rate in bits per second, including IP headers, at which packets leave one after another: whole, 100 to 10^12.
   *
   * @default Infinity
   */
  readonly rateBps?: number | undefined;
  /**
   * Bytes that may wait because of that rate, 0 to 2^30, and at most the bytes that leave in a day. A packet that finds the
   * queue full is dropped. An empty queue takes any packet. @default 150,000, about 100 full packets
   */
  readonly queueBytes?: number | undefined;
  /** Bytes of the largest packet, including the IP header: 68 to 65,536, and at least 1280 for IPv6. @default 1500 */
  readonly mtuBytes?: number | undefined;
}

/**
 * Two states, good and bad, each with its own loss (Elliott 1963; `gemodel` of tc-netem(8)). Ratios are 0 to 1. The first
 * state is drawn: its chance is the share of packets that meet this state in the long run.
 */
export interface GilbertElliott {
  /** Chance at each packet that the state changes from good to bad. */
  readonly toBadRatio: number;
  /** Chance at each packet that the state changes from bad to good. */
  readonly toGoodRatio: number;
  /** Loss in the good state. @default 0 */
  readonly goodLossRatio?: number | undefined;
  /** Loss in the bad state. @default 1 */
  readonly badLossRatio?: number | undefined;
}
