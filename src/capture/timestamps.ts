/** Times of capture files in nanoseconds since 1970. */

const words = new Uint32Array(2);
const joined = new BigUint64Array(words.buffer);
const isLittleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;
const [lowWord, highWord] = isLittleEndian ? [0, 1] : [1, 0];

/** Turns the two halves of a 64-bit count of time units into nanoseconds. */
export type TimeScale = (high: number, low: number) => bigint;

/** Units of a nanosecond. */
export const nanoseconds: TimeScale = (high, low) => {
  words[highWord] = high;
  words[lowWord] = low;
  return joined[0] ?? 0n;
};

/**
 * The scale of an interface (draft-ietf-opsawg-pcapng, section 4.2).
 *
 * @param resolution `if_tsresol`: units are 10^-n of a second, or 2^-n if the highest bit is set.
 * @param offset `if_tsoffset`: seconds to add.
 */
export function timeScale(resolution: number, offset: bigint): TimeScale {
  const exponent = resolution & 0x7f;
  const base = (resolution & 0x80) === 0 ? 10n : 2n;
  const unitsPerSecond = base ** BigInt(exponent);
  const offsetNs = offset * 1_000_000_000n;
  if (base === 10n && exponent === 9 && offset === 0n) return nanoseconds;
  if (base === 10n && exponent <= 9) {
    const nsPerUnit = 1_000_000_000n / unitsPerSecond;
    return (high, low) => nanoseconds(high, low) * nsPerUnit + offsetNs;
  }
  return (high, low) => (nanoseconds(high, low) * 1_000_000_000n) / unitsPerSecond + offsetNs;
}
