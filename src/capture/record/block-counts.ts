/** Counts of what blocks hold of one interface. */
export interface BlockCounts {
  datagrams: number;
  /** Bytes of payloads. */
  bytes: number;
  unreachable: number;
  /** Losses before the datagrams were read, as the packets tell them. */
  lost: number;
  /** Datagrams that could not be written, as the packets tell them. */
  missed: number;
}

export function noBlockCounts(): BlockCounts {
  return { datagrams: 0, bytes: 0, unreachable: 0, lost: 0, missed: 0 };
}

export function addBlockCounts(
  to: BlockCounts,
  { datagrams, bytes, unreachable, lost, missed }: BlockCounts,
  factor: 1 | -1,
): void {
  to.datagrams += factor * datagrams;
  to.bytes += factor * bytes;
  to.unreachable += factor * unreachable;
  to.lost += factor * lost;
  to.missed += factor * missed;
}

/** The sum of two counts, as a new object. */
export function sumOfBlockCounts(one: BlockCounts, other: BlockCounts): BlockCounts {
  const both = { ...one };
  addBlockCounts(both, other, 1);
  return both;
}
