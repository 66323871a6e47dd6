import { crc32 } from "node:zlib";

import type { Crc32 } from "../core/driver/driver.js";

/** The CRC-32 of Node.js, for drivers that have no faster one. */
export const zlibCrc32: Crc32 = {
  of: crc32,
  ofPieces: (bytes, pieceBytes, crcs) => {
    for (let index = 0; index < crcs.length; index++)
      crcs[index] = crc32(bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes));
  },
};
