/** Returns a uniformly random uint32 that cannot be predicted. */
export function randomUint32(): number {
  // Not `node:crypto`: importing it costs each program half a megabyte.
  const [number = 0] = crypto.getRandomValues(new Uint32Array(1));
  return number;
}
