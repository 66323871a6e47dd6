/** The rules for fragments of one packet, which hold for IPv4 and IPv6. */

/** The part of a packet that a fragment has. */
export interface FragmentRange {
  /** Bytes of the whole content before this fragment. */
  readonly offset: number;
  /** Bytes of the content in this fragment. */
  readonly length: number;
  /** Whether fragments with a higher offset follow. */
  readonly moreFragments: boolean;
}

/** Bytes of the longest content. An IPv4 packet of 65,535 bytes includes a header of 20 (RFC 791, section 3.1; RFC 8200, section 3). */
export const maxContentBytes: Readonly<Record<4 | 6, number>> = { 4: 65_515, 6: 65_535 };

/**
 * Returns where a fragment belongs among those that are there: an index, or why it belongs nowhere. Overlapping fragments are
 * an attack (RFC 5722), so the caller discards all of them.
 *
 * @param ranges in the order of their offsets, without overlap.
 * @param total bytes of the whole content; Infinity until the last fragment is there.
 */
export function placeOfFragment(
  version: 4 | 6,
  { offset, length, moreFragments }: FragmentRange,
  ranges: readonly FragmentRange[],
  total: number,
): number | "overlapping fragments" | "duplicate fragment" {
  const end = offset + length;
  // It contradicts the end that is known.
  if (end > total || (!moreFragments && total !== Infinity && end !== total)) return "overlapping fragments";
  // No packet has such fragments: empty, longer than a packet can be, or with an end where no next fragment can begin.
  if (length === 0 || end > maxContentBytes[version] || (moreFragments && end % 8 !== 0))
    return "overlapping fragments";
  let place = ranges.length;
  while (place > 0 && (ranges[place - 1] as FragmentRange).offset >= offset) place--;
  const [before, after] = [ranges[place - 1], ranges[place]];
  if (after?.offset === offset && after.length === length) {
    return after.moreFragments === moreFragments ? "duplicate fragment" : "overlapping fragments";
  }
  if (before && before.offset + before.length > offset) return "overlapping fragments";
  if (after && end > after.offset) return "overlapping fragments";
  if (!moreFragments && after) return "overlapping fragments";
  return place;
}
