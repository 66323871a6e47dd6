/** The payload of a message with several datagrams: their records, one after another. Numbers are big-endian. */

import { Buffer } from "node:buffer";

import type { Datagram } from "../core/receive/datagram.js";

/** The largest number of datagrams of a bundle. */
export const maxBundleDatagrams = 1024;
/** Bytes of a record before the text of its source. */
const fixedBytes = 17;
/** Marks a count of losses that the system did not report. */
const unknownLoss = 0xffff_ffff;

/** A datagram of a bundle. */
export interface BundleRecord {
  /** The text of the address, as in the header `Datagram-Source`. Anybody can have written it. */
  readonly source: string;
  /** Bytes of the payload as it was sent. */
  readonly size: number;
  readonly timestamp: bigint | undefined;
  readonly lostBefore: number | undefined;
  /** A view of the bundle. */
  readonly data: Buffer;
}

/** Bytes of the record of a datagram. @param source the text of its address. */
export function recordBytes(datagram: Datagram, source: Uint8Array): number {
  return fixedBytes + source.length + datagram.data.length;
}

/** Writes the record of a datagram. @returns where the next one starts. */
export function writeRecord(memory: DataView, at: number, datagram: Datagram, source: Uint8Array): number {
  const { data, size, timestamp = 0n, lostBefore } = datagram;
  const bytes = new Uint8Array(memory.buffer, memory.byteOffset, memory.byteLength);
  memory.setUint16(at, data.length);
  memory.setUint16(at + 2, size);
  memory.setBigUint64(at + 4, timestamp);
  memory.setUint32(at + 12, lostBefore === undefined ? unknownLoss : Math.min(lostBefore, unknownLoss - 1));
  bytes[at + 16] = source.length;
  bytes.set(source, at + fixedBytes);
  const payloadAt = at + fixedBytes + source.length;
  bytes.set(data, payloadAt);
  return payloadAt + data.length;
}

/** Reads the records of a bundle. @returns `undefined` if it is none, or has more than 1,024 records. */
export function readRecords(bundle: Uint8Array): BundleRecord[] | undefined {
  const memory = Buffer.from(bundle.buffer as ArrayBuffer, bundle.byteOffset, bundle.length);
  const records: BundleRecord[] = [];
  for (let at = 0; at < memory.length;) {
    if (at + fixedBytes > memory.length || records.length >= maxBundleDatagrams) return undefined;
    const dataBytes = memory.readUInt16BE(at);
    const size = memory.readUInt16BE(at + 2);
    const timestamp = memory.readBigUInt64BE(at + 4);
    const lostBefore = memory.readUInt32BE(at + 12);
    const dataAt = at + fixedBytes + (memory[at + 16] ?? 0);
    if (dataAt + dataBytes > memory.length || dataBytes > size) return undefined;
    records.push({
      source: memory.toString("latin1", at + fixedBytes, dataAt),
      size,
      timestamp: timestamp === 0n ? undefined : timestamp,
      lostBefore: lostBefore === unknownLoss ? undefined : lostBefore,
      data: memory.subarray(dataAt, dataAt + dataBytes),
    });
    at = dataAt + dataBytes;
  }
  return records;
}
