/**
 * Throws if something is false that can only be false because of a mistake in this package.
 *
 * @param what the invariant, in words. A constant text, so that a check costs nothing but its condition.
 */
export function invariant(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`a broken invariant of datagram: ${what}`);
}
