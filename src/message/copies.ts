/** The share of the messages that may fail to arrive because all copies of a chunk are lost. */
const tolerated = 0.02;
/** Datagrams up to which each is sent several times. */
const maxTail = 32;
/** The largest number of additional copies of a chunk. */
export const maxCopies = 3;

/** How often to repeat a chunk, so that hardly ever all copies are lost. */
export function extraCopies(lossRatio: number): number {
  if (lossRatio < 0.04) return 0;
  return Math.min(maxCopies, Math.ceil(Math.log(tolerated) / Math.log(lossRatio)) - 1);
}

/**
 * At the end of a message, a repair that is lost costs a round trip: on a bad path, each is sent several times.
 *
 * @param of indexes of the datagrams to repeat.
 * @returns the number of copies that this adds.
 */
export function addCopies(datagrams: Uint8Array[], of: readonly number[], lossRatio: number): number {
  if (of.length > maxTail) return 0;
  const extra = extraCopies(lossRatio);
  const originals = of.map((at) => datagrams[at] as Uint8Array);
  for (let copy = 0; copy < extra; copy++) datagrams.push(...originals);
  return extra * originals.length;
}
