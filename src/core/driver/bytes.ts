/** Whether this machine is little-endian. The structures of the kernel have the byte order of the machine. */
export const littleEndian: boolean = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The bytes of a C `int`, or of an `unsigned int`. */
export function int32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, littleEndian);
  return bytes;
}

/** The number of a C `int`. */
export function fromInt32(bytes: Uint8Array): number {
  return viewOf(bytes).getInt32(0, littleEndian);
}

/** The bytes of a whole number as a `uint64_t`; all ones for Infinity. */
export function uint64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const allOnes = 0xffff_ffff_ffff_ffffn;
  new DataView(bytes.buffer).setBigUint64(0, value === Infinity ? allOnes : BigInt(value), littleEndian);
  return bytes;
}

/** The number of a `uint64_t`, or of a `uint32_t`; Infinity for all ones. Above 2^53 it is the nearest `number`. */
export function fromUint(bytes: Uint8Array): number {
  if (bytes.every((byte) => byte === 0xff)) return Infinity;
  const view = viewOf(bytes);
  return bytes.length === 8 ? Number(view.getBigUint64(0, littleEndian)) : view.getUint32(0, littleEndian);
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
