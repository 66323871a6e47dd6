/** Links of everyday life: `profiles` says what each is, and where its numbers come from. */
export type ProfileName = "lan" | "wifi-busy" | "lte" | "satellite" | "broken-firewall" | "iot-lossy";

/** A link: the same both ways, as a profile has it, or each direction by itself. */
export type LinkInput = LinkSettings | ProfileName | LinkDirections;

/** Each direction of a link by itself; nothing happens to packets of the one that is not named. */
export interface LinkDirections {
  /** From the device to the network: from the side of a link that is named first, or from a proxy's clients. */
  readonly up?: LinkSettings | ProfileName | undefined;
  /** Back. */
  readonly down?: LinkSettings | ProfileName | undefined;
}

/** What one direction of a link does to packets. Everything is off where it is not named. */
export interface LinkSettings {
  /**
   * Begins with what this profile has for the direction; the fields beside it override its fields. `lossRatio` and
   * `gilbertElliott` replace all that it says of losses, their bursts too.
   */
  readonly profile?: ProfileName | undefined;
  /** Milliseconds that every packet travels, up to a day (86,400,000). @default 0 */
  readonly latencyMs?: number | undefined;
  /**
   * Up to so many milliseconds more, uniformly drawn for each packet: 0 to a day. Order is kept, as in a queue: a packet
   * never overtakes the one before it. @default 0
   */
  readonly jitterMs?: number | undefined;
  /** Share of packets that are lost, 0 to 1. @default 0 */
  readonly lossRatio?: number | undefined;
  /**
   * Mean number of packets that are lost in a row, 1 to 10,000: losses come in bursts (Gilbert's model) and their share
   * stays `lossRatio`, which must be there and is at most length / (length + 1). Without it each packet is lost
   * independently of others. Bursts are of packets, not of time: who sends one packet a minute meets the same ones as who
   * sends a thousand a second, and waiting before a retry does not help.
   */
  readonly lossBurstLength?: number | undefined;
  /**
   * Most packets that are lost in a row, 1 to 10,000, each with the chance `lossRatio`, which must be there; the next one
   * passes, so that the share that is lost falls below `lossRatio`. Not together with `lossBurstLength`.
   */
  readonly lossBurstMost?: number | undefined;
  /** Losses by the model of Gilbert and Elliott, in place of `lossRatio` and bursts. */
  readonly gilbertElliott?: GilbertElliott | undefined;
  /** Share of packets that arrive twice, 0 to 1. @default 0 */
  readonly duplicateRatio?: number | undefined;
  /** Share of packets that are held back by `reorderMs`, 0 to 1, so that those behind them overtake. @default 0 */
  readonly reorderRatio?: number | undefined;
  /** Milliseconds by which they are held back, up to a day. @default 10 */
  readonly reorderMs?: number | undefined;
  /** Share of packets of which a bit of the payload is flipped on the way, 0 to 1. @default 0 */
  readonly corruptRatio?: number | undefined;
  /** Hands corrupted datagrams on, as where the checksum is off, in place of dropping them by it. @default false */
  readonly corruptPasses?: boolean | undefined;
  /** Bits a second, IP headers counted, that leave one packet after another: whole, 100 to 10^12. @default Infinity */
  readonly rateBps?: number | undefined;
  /**
   * Bytes that may be there at once and have not left yet at that rate, 0 to 2^30, and a day's worth at most. A packet that finds
   * no room is dropped; one that finds nothing there always has room. @default 150,000, about 100 full packets
   */
  readonly queueBytes?: number | undefined;
  /** Bytes of the largest packet that fits, IP header and all: 68 to 65,536, and at least 1280 for IPv6. @default 1500 */
  readonly mtuBytes?: number | undefined;
}

/**
 * Two states, good and bad, each with a loss of its own (Elliott 1963; `gemodel` of tc-netem(8)). Ratios are 0 to 1.
 * A link begins in either state, with the share of time that it spends there in the long run.
 */
export interface GilbertElliott {
  /** Chance of each packet to find that the state turns bad. */
  readonly toBadRatio: number;
  /** Chance of each packet to find that the state turns good again. */
  readonly toGoodRatio: number;
  /** Loss in the good state. @default 0 */
  readonly goodLossRatio?: number | undefined;
  /** Loss in the bad state. @default 1 */
  readonly badLossRatio?: number | undefined;
}
