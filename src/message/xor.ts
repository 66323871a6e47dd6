/** XORs `bytes` into the first bytes of `target`, which is at least as long: 4 bytes at a time, at any alignment. */
export function xorInto(target: Uint8Array, bytes: Uint8Array): void {
  const { length } = bytes;
  const to = new DataView(target.buffer, target.byteOffset, target.length);
  const from = new DataView(bytes.buffer, bytes.byteOffset, length);
  const words = length & ~3;
  for (let at = 0; at < words; at += 4)
    to.setInt32(at, to.getInt32(at, true) ^ from.getInt32(at, true), true);
  for (let at = words; at < length; at++) to.setUint8(at, to.getUint8(at) ^ from.getUint8(at));
}
