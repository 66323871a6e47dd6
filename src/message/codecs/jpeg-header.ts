import { Buffer } from "node:buffer";

/** What a JPEG header is made from. */
export interface JpegHeader {
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  /** Whether the colours have half the lines too (4:2:0), or only half the columns (4:2:2). */
  readonly halfLines: boolean;
  /** Blocks between two restart markers; 0 without restart markers. */
  readonly restartInterval: number;
  /** One or two tables of 64 bytes, for luminance and for chrominance, in zigzag order. */
  readonly tables: Uint8Array;
}

/** The number of values of a quantization table. */
const tableBytes = 64;

/** ITU-T T.81 tables K.1 and K.2, in zigzag order. */
const luminance = bytesOf(
  "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933383740485c4e404457453738506d51575f626768673e4d71797064785c656763",
);
const chrominance = bytesOf(
  "1112121815182f1a1a2f634238426363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363636363",
);

/** ITU-T T.81 section K.3.3: the Huffman tables that RFC 2435 fixes, as the content of one DHT segment. */
const huffmanTables = bytesOf(
  [
    // DC of luminance.
    "0000010501010101010100000000000000000102030405060708090a0b",
    // DC of chrominance.
    "0100030101010101010101010000000000000102030405060708090a0b",
    // AC of luminance.
    "100002010303020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f024",
    "33627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465666768696a7374",
    "75767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9ca",
    "d2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa",
    // AC of chrominance.
    "1100020102040403040705040400010277000102031104052131061241510761711322328108144291a1b1c109233352f015",
    "6272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a636465666768696a73",
    "7475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8",
    "c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa",
  ].join(""),
);

/** The quantization tables of a quality, 1 to 99, as RFC 2435 section 4.2 computes them. */
export function tablesOfQuality(q: number): Uint8Array {
  const scale = q < 50 ? Math.floor(5000 / q) : 200 - q * 2;
  return Uint8Array.from([...luminance, ...chrominance], (value) =>
    Math.min(255, Math.max(1, Math.floor((value * scale + 50) / 100))),
  );
}

/** The bytes of a JPEG picture before its compressed data: RFC 2435 appendix B. */
export function jpegHeader({ width, height, halfLines, restartInterval, tables }: JpegHeader): Buffer {
  const hasTwo = tables.length > tableBytes;
  const segments = [
    // JFIF 1.01, without a resolution.
    segment(0xe0, bytesOf("4a46494600010100000100010000")),
    segment(0xdb, [0, ...tables.subarray(0, tableBytes)]),
    ...(hasTwo ? [segment(0xdb, [1, ...tables.subarray(tableBytes, 2 * tableBytes)])] : []),
    ...(restartInterval > 0 ? [segment(0xdd, [restartInterval >>> 8, restartInterval & 0xff])] : []),
    segment(0xc0, [
      8, // bits of a value
      ...[height >>> 8, height & 0xff, width >>> 8, width & 0xff],
      3, // components: number, sampling, quantization table
      ...[1, halfLines ? 0x22 : 0x21, 0],
      ...[2, 0x11, hasTwo ? 1 : 0],
      ...[3, 0x11, hasTwo ? 1 : 0],
    ]),
    segment(0xc4, huffmanTables),
    segment(0xda, [3, ...[1, 0x00], ...[2, 0x11], ...[3, 0x11], 0, 63, 0]),
  ];
  return Buffer.concat([Uint8Array.of(0xff, 0xd8), ...segments]);
}

function segment(marker: number, content: ArrayLike<number> & Iterable<number>): Uint8Array {
  const length = content.length + 2;
  return Uint8Array.of(0xff, marker, length >>> 8, length & 0xff, ...content);
}

function bytesOf(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}
