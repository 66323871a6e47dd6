/** Reads types of service: a byte, or the name of a DSCP. */

import { usage } from "./exit.js";
import { quote } from "./option-values.js";

/**
 * The six bits of each name, with the names of iproute2 and of IANA: RFC 2474 (cs), 2597 (af), 3246 (ef), 5865 (va),
 * 8622 (le).
 */
const codePoints: ReadonlyMap<string, number> = new Map([
  ["df", 0],
  ["be", 0],
  ["le", 1],
  ["va", 44],
  ["voice-admit", 44],
  ["ef", 46],
  ...Array.from({ length: 8 }, (_, of) => [`cs${of}`, of * 8] as const),
  ...[1, 2, 3, 4].flatMap((of) => [1, 2, 3].map((drop) => [`af${of}${drop}`, of * 8 + drop * 2] as const)),
]);

/** Reads `184`, `0xb8` or `ef` for the option `name`, as the byte of the IP header: DSCP and ECN. */
export function typeOfService(name: string): (text: string) => number {
  return (text) => {
    const codePoint = codePoints.get(text.toLowerCase());
    if (codePoint !== undefined) return codePoint << 2;
    const byte = /^(?:\d{1,3}|0x[0-9a-f]{1,2})$/i.test(text) ? Number(text) : NaN;
    if (byte >= 0 && byte <= 255) return byte;
    throw usage(
      `${name} takes 0 to 255, 0x00 to 0xff, or a DSCP name such as ef, cs1, af41 or le, not ${quote(text)}`,
    );
  };
}
