import type { CheckedStates } from "../sim/link/check.js";
import { formatDuration, formatRate, formatShare } from "../sim/link/unit-texts.js";
import { nsPerMs } from "../sim/time/event.js";
import type { DirectionFaults } from "./options.js";

/** What the settings of a direction do, as texts in the words of the command line: `loss 10%`. */
export interface FaultTexts {
  readonly loss: string;
  readonly queue: string;
  readonly mtu: string;
  /** All that delays every datagram. */
  readonly delay: string;
  readonly reorder: string;
  readonly duplicate: string;
  readonly corrupt: string;
}

/** The texts for the settings of a direction. Those of faults that are off have no meaning. */
export function faultTexts({ settings, mtuBytes }: DirectionFaults): FaultTexts {
  const { latencyNs, jitterNs, rateBps, lossRatio, lossStates, queueBytes } = settings;
  const { duplicateRatio, reorderRatio, corruptRatio } = settings;
  const delays = [
    latencyNs > 0 && `delay ${formatDuration(latencyNs / nsPerMs)}`,
    jitterNs > 0 && `jitter ${formatDuration(jitterNs / nsPerMs)}`,
    rateBps < Infinity && `rate ${formatRate(rateBps)}`,
  ];
  return {
    loss: lossStates
      ? `loss ${formatShare(meanLoss(lossStates))} in bursts`
      : `loss ${formatShare(lossRatio)}`,
    queue: `full queue of ${queueBytes} bytes before ${formatRate(rateBps)}`,
    mtu: `mtu ${mtuBytes}`,
    delay: delays.filter((text) => text !== false).join(", ") || "order of datagrams",
    reorder: `reorder ${formatShare(reorderRatio)}`,
    duplicate: `duplicate ${formatShare(duplicateRatio)}`,
    corrupt: `corrupt ${formatShare(corruptRatio)}`,
  };
}

/** The share of losses in the long run. */
export function meanLoss({ toBadRatio, toGoodRatio, goodLossRatio, badLossRatio }: CheckedStates): number {
  if (toBadRatio + toGoodRatio === 0) return goodLossRatio;
  const bad = toBadRatio / (toBadRatio + toGoodRatio);
  return bad * badLossRatio + (1 - bad) * goodLossRatio;
}
