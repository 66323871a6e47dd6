/** What the order of a list needs of a datagram. */
interface Timed {
  /** The connection over which it came. */
  readonly connection: number;
  /** Its time, as decimal digits of nanoseconds. */
  readonly row: { readonly timestamp: string };
}

/** Nanoseconds by which datagrams of several sources may come out of order. A clock that was set back moves further. */
const maxDisorderNs = 1_000_000_000n;

/** Adds datagrams to a list. Those of several sources come in parts, so some are a little earlier than the last of the list. */
export function inOrder<Datagram extends Timed>(
  list: readonly Datagram[],
  added: readonly Datagram[],
): Datagram[] {
  const sorted = [...added].sort(byTime);
  const [first] = sorted;
  let from = list.length;
  const isLater = (each: Datagram | undefined): boolean =>
    first !== undefined &&
    each?.connection === first.connection &&
    byTime(each, first) > 0 &&
    BigInt(each.row.timestamp) - BigInt(first.row.timestamp) < maxDisorderNs;
  while (isLater(list[from - 1])) from--;
  return [...list.slice(0, from), ...[...list.slice(from), ...sorted].sort(byTime)];
}

/** Compares decimal digits of nanoseconds, which numbers cannot hold. Datagrams of one time stay in their order. */
function byTime({ row: { timestamp: a } }: Timed, { row: { timestamp: b } }: Timed): number {
  if (a === b) return 0;
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : 1;
}
