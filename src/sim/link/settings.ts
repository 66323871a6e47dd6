/** What one direction of a link does to packets. Everything is off where it is not named. */
export interface LinkSettings {
  /** Milliseconds that every packet travels. @default 0 */
  readonly latencyMs?: number | undefined;
  /**
   * Up to so many milliseconds more, uniformly drawn for each packet. Order is kept, as in a queue: a packet never
   * overtakes the one before it. @default 0
   */
  readonly jitterMs?: number | undefined;
  /** Share of packets that are lost, 0 to 1. @default 0 */
  readonly lossRatio?: number | undefined;
  /**
   * Mean number of packets that are lost in a row, 1 or more: losses come in bursts (Gilbert's model) and their share
   * stays `lossRatio`. Without it each packet is lost independently of others.
   */
  readonly lossBurstLength?: number | undefined;
  /** Most packets that are lost in a row; the next one passes. The share that is lost falls below `lossRatio`. */
  readonly lossBurstMost?: number | undefined;
  /** Losses by the model of Gilbert and Elliott, in place of `lossRatio`. */
  readonly gilbertElliott?: GilbertElliott | undefined;
  /** Share of packets that arrive twice, 0 to 1. @default 0 */
  readonly duplicateRatio?: number | undefined;
  /** Share of packets that are held back by `reorderMs`, 0 to 1, so that those behind them overtake. @default 0 */
  readonly reorderRatio?: number | undefined;
  /** Milliseconds by which they are held back. @default 10 */
  readonly reorderMs?: number | undefined;
  /** Share of packets of which a bit of the payload is flipped on the way, 0 to 1. @default 0 */
  readonly corruptRatio?: number | undefined;
  /** Hands corrupted datagrams on, as where the checksum is off, in place of dropping them by it. @default false */
  readonly corruptPasses?: boolean | undefined;
  /** Bits a second, IP headers counted, that leave one packet after another. @default Infinity */
  readonly rateBps?: number | undefined;
  /** Bytes that may wait to leave at that rate; a packet that finds no room is dropped. @default 150,000, about 100 full packets */
  readonly queueBytes?: number | undefined;
  /** Bytes of the largest packet that fits, IP header and all: 68 to 65,536, and at least 1280 for IPv6. @default 1500 */
  readonly mtuBytes?: number | undefined;
}

/** Two states, good and bad, each with a loss of its own (Elliott 1963; `gemodel` of tc-netem(8)). Ratios are 0 to 1. */
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
