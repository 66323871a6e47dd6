import { endianness } from "node:os";

/** Whether this machine keeps the low byte first. The kernel's structures are in its order. */
export const littleEndian: boolean = endianness() === "LE";

/** The bytes of a C `int`. */
export function int32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, littleEndian);
  return bytes;
}
