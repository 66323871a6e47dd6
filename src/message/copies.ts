/** The share of the messages that may fail to arrive because all copies of a chunk are lost. */
const tolerated = 0.02;
/** Datagrams up to which each is sent several times. */
export const maxTail = 32;
/** The largest number of additional copies of a chunk. */
export const maxCopies = 3;

/** How often to repeat a chunk, so that hardly ever all copies are lost. */
export function extraCopies(lossRatio: number): number {
  if (lossRatio < 0.04) return 0;
  return Math.min(maxCopies, Math.ceil(Math.log(tolerated) / Math.log(lossRatio)) - 1);
}

/**
 * How often to repeat each of the datagrams that end a message. A repair that is lost costs a round trip there.
 *
 * @param datagrams that would be repeated.
 */
export function tailCopies(datagrams: number, lossRatio: number): number {
  return datagrams > maxTail ? 0 : extraCopies(lossRatio);
}
