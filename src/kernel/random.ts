import { randomInt } from "node:crypto";

/** Returns a uniformly random uint32 that cannot be predicted. */
export function randomUint32(): number {
  return randomInt(2 ** 32);
}
