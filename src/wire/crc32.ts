/**
 * Arithmetic with CRC-32, the CRC of zlib: the CRC of joined pieces, from the CRCs of the pieces. `crc32_combine` of zlib does the
 * same. A CRC is a polynomial modulo `polynomial`, whose highest bit is the coefficient of x⁰.
 */

const polynomial = 0xedb8_8320;
/** x⁰ and x⁸. */
const one = 1 << 31;
const oneByte = 1 << 23;
const headerBytes = 20;

/**
 * How a CRC changes if a certain number of bytes follow: four tables of 256, one for each byte of the CRC. All arithmetic with them
 * is in int32.
 */
export type CrcShift = Int32Array;

/** Shifts that were used last, by the number of bytes. */
const shifts = new Map<number, CrcShift>();
const maxShifts = 16;
let lastBytes = -1;
let lastShift: CrcShift | undefined;

/** Returns the shift by `bytes`, 0 to 2³² − 1. It costs about as much as the CRC of 4,000 bytes if it was not used lately. */
export function crcShift(bytes: number): CrcShift {
  const found = knownCrcShift(bytes);
  if (found) return found;
  const [oldest] = shifts.keys();
  if (shifts.size >= maxShifts && oldest !== undefined) shifts.delete(oldest);
  const made = makeShift(bytes);
  shifts.set(bytes, made);
  return made;
}

/** Returns the shift by `bytes`, if it was used lately. */
export function knownCrcShift(bytes: number): CrcShift | undefined {
  if (bytes === lastBytes) return lastShift;
  const found = shifts.get(bytes);
  if (found) [lastBytes, lastShift] = [bytes, found];
  return found;
}

/**
 * Returns the CRC of two pieces, as int32. `shift` is that of the length of the second piece. With the CRC of both pieces in place of
 * `second`, it returns the CRC of the second piece.
 */
export function joinCrcs(first: number, second: number, shift: CrcShift): number {
  return apply(shift, first) ^ second;
}

/** Powers that `joinCrcsOnce` used last, at a place that follows from the number of bytes. The power of 0 bytes is `one`. */
const powers = { bytes: new Float64Array(64), power: new Int32Array(64).fill(one) };

/** Returns the CRC of two pieces, as int32. It takes longer than `joinCrcs`, and needs no shift. */
export function joinCrcsOnce(first: number, second: number, secondBytes: number): number {
  // Messages of one length end at few places. The sizes of their chunks are multiples of powers of 2.
  const place = (Math.imul(secondBytes, 0x9e37_79b1) >>> 26) & 63;
  if (powers.bytes[place] !== secondBytes) {
    powers.bytes[place] = secondBytes;
    powers.power[place] = powerOf(secondBytes);
  }
  return multiply(first, powers.power[place] as number) ^ second;
}

const byFour = makeShift(4);

/** Returns the CRC of bytes and of their own CRC after them, big-endian, as int32. @param crc of the bytes without it. */
export function crcWithItself(crc: number): number {
  const swapped = (crc << 24) | ((crc & 0xff00) << 8) | ((crc >>> 8) & 0xff00) | (crc >>> 24);
  return ~apply(byFour, ~crc ^ swapped);
}

/** Returns the CRC of 20 bytes from `at` on, as int32: those of the header of a frame. */
export function crcOfHeader(bytes: Uint8Array, at: number): number {
  return crcOfShort(bytes, at, at + headerBytes);
}

/** Returns the CRC of the bytes from `start` to `end`, as int32: a multiple of 4, and so few that a call of zlib takes longer. */
export function crcOfShort(bytes: Uint8Array, start: number, end: number): number {
  let crc = -1;
  for (let word = start; word < end; word += 4) {
    crc = apply(
      byFour,
      crc ^
        ((bytes[word] as number) |
          ((bytes[word + 1] as number) << 8) |
          ((bytes[word + 2] as number) << 16) |
          ((bytes[word + 3] as number) << 24)),
    );
  }
  return ~crc;
}

/** Returns the CRC of 20 bytes as int32: five words, little-endian. */
export function crcOfWords(
  first: number,
  second: number,
  third: number,
  fourth: number,
  fifth: number,
): number {
  let crc = apply(byFour, ~first);
  crc = apply(byFour, crc ^ second);
  crc = apply(byFour, crc ^ third);
  crc = apply(byFour, crc ^ fourth);
  return ~apply(byFour, crc ^ fifth);
}

function apply(shift: CrcShift, crc: number): number {
  return (
    (shift[crc & 0xff] as number) ^
    (shift[256 + ((crc >>> 8) & 0xff)] as number) ^
    (shift[512 + ((crc >>> 16) & 0xff)] as number) ^
    (shift[768 + (crc >>> 24)] as number)
  );
}

function makeShift(bytes: number): CrcShift {
  const tables = new Int32Array(1024);
  let product = powerOf(bytes);
  for (let bit = 31; bit >= 0; bit--) {
    const table = (bit >> 3) << 8;
    const first = 1 << (bit & 7);
    // The entries of several bits follow from those of one bit, below.
    tables[table + first] = product;
    product = timesX(product);
  }
  for (let at = 0; at < 1024; at++) {
    const low = at & -at & 0xff;
    if ((at & 0xff) !== low)
      tables[at] = (tables[at - low] as number) ^ (tables[(at & ~0xff) + low] as number);
  }
  return tables;
}

/** x⁸ to the power of `bytes`. */
function powerOf(bytes: number): number {
  let power = one;
  let square = oneByte;
  for (let left = bytes; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) power = multiply(power, square);
    square = multiply(square, square);
  }
  return power;
}

function multiply(first: number, second: number): number {
  let product = 0;
  let shifted = second;
  for (let bit = one; bit !== 0; bit >>>= 1) {
    if ((first & bit) !== 0) product ^= shifted;
    shifted = timesX(shifted);
  }
  return product;
}

function timesX(value: number): number {
  return (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ polynomial;
}
