import { Buffer } from "node:buffer";

import { jpegHeader, tablesOfQuality } from "../../message/codecs/jpeg-header.js";

/** Blocks of a picture: each has one colour, and 8 pixels on each side. */
export const mosaic = { columns: 32, rows: 24 } as const;
const pixelsOfBlock = 8;
/** The quality of the quantization tables. RTP sends it in place of the tables (RFC 2435 section 4.2). */
export const quality = 80;

/** A colour: luminance, and the differences of blue and red, each 0 to 255 (ITU-T T.871). */
export type Colour = readonly [y: number, cb: number, cr: number];

/** A code of a Huffman table. */
interface Code {
  readonly bits: number;
  readonly length: number;
}

/** ITU-T T.81 tables K.3 and K.4: for the DC values of luminance and chrominance, the number of codes of each length. */
const dcCodes = [codesOf([0, 1, 5, 1, 1, 1, 1, 1, 1]), codesOf([0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1])] as const;
/** "End of block" in tables K.5 and K.6: all other values of the block are 0. */
const endOfBlock: readonly Code[] = [
  { bits: 0b1010, length: 4 },
  { bits: 0b00, length: 2 },
];

/** The bytes of a JPEG picture before its compressed data. */
const mosaicHeader: Buffer = jpegHeader({
  width: mosaic.columns * pixelsOfBlock,
  height: mosaic.rows * pixelsOfBlock,
  halfLines: true,
  restartInterval: 0,
  tables: tablesOfQuality(quality),
});

/**
 * The compressed data of a JPEG picture in which each block has one colour, so that it needs no transform. Colours have half the
 * columns and lines (4:2:0), as RFC 2435 type 1.
 */
export function mosaicData(colourAt: (column: number, row: number) => Colour): Buffer {
  const tables = tablesOfQuality(quality);
  const bits = new BitWriter();
  const last = [0, 0, 0];
  const block = (component: 0 | 1 | 2, value: number): void => {
    const table = component === 0 ? 0 : 1;
    // The DC value is 8 times the mean, which is level-shifted (T.81 section A.3.3).
    const dc = Math.round((8 * (value - 128)) / (tables[table * 64] as number));
    const difference = dc - (last[component] as number);
    last[component] = dc;
    const length = 32 - Math.clz32(Math.abs(difference));
    bits.write(dcCodes[table][length] as Code);
    bits.write({ bits: difference < 0 ? difference + (1 << length) - 1 : difference, length });
    bits.write(endOfBlock[table] as Code);
  };
  for (let row = 0; row < mosaic.rows; row += 2) {
    for (let column = 0; column < mosaic.columns; column += 2) {
      const four = [
        colourAt(column, row),
        colourAt(column + 1, row),
        colourAt(column, row + 1),
        colourAt(column + 1, row + 1),
      ];
      for (const [y] of four) block(0, y);
      block(1, four.reduce((sum, [, cb]) => sum + cb, 0) / 4);
      block(2, four.reduce((sum, [, , cr]) => sum + cr, 0) / 4);
    }
  }
  return bits.end();
}

/** A whole JPEG picture. */
export function mosaicJpeg(data: Buffer): Buffer {
  return Buffer.concat([mosaicHeader, data, Uint8Array.of(0xff, 0xd9)]);
}

/** The canonical codes of a table (T.81 annex C), in the order of their values. @param counts of codes of each length, from 1 on. */
function codesOf(counts: readonly number[]): readonly Code[] {
  const codes: Code[] = [];
  let bits = 0;
  for (const [index, count] of counts.entries()) {
    for (let each = 0; each < count; each++) codes.push({ bits: bits++, length: index + 1 });
    bits <<= 1;
  }
  return codes;
}

/** Writes bits, the highest first. After a byte FF comes a 0 (T.81 section F.1.2.3). */
class BitWriter {
  readonly #bytes: number[] = [];
  #byte = 0;
  #free = 8;

  write({ bits, length }: Code): void {
    for (let bit = length - 1; bit >= 0; bit--) {
      this.#byte |= ((bits >> bit) & 1) << --this.#free;
      if (this.#free > 0) continue;
      this.#bytes.push(this.#byte);
      if (this.#byte === 0xff) this.#bytes.push(0);
      this.#byte = 0;
      this.#free = 8;
    }
  }

  /** Fills the last byte with ones. */
  end(): Buffer {
    while (this.#free < 8) this.write({ bits: 1, length: 1 });
    return Buffer.from(this.#bytes);
  }
}
