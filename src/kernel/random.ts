import { randomInt } from "node:crypto";

/** A uniformly random uint32 that nobody can guess. */
export function randomUint32(): number {
  return randomInt(2 ** 32);
}
