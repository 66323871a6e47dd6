/**
 * States an invariant of this package: what only a fault of its own can break.
 *
 * @throws `Error` that names the invariant if it does not hold.
 */
export function assert(holds: boolean, invariant: string): asserts holds {
  if (!holds) throw new Error(`broken invariant: ${invariant}`);
}
