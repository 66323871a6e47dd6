import type { Buffer } from "node:buffer";

import { type Packet, udpHeaderBytes } from "../packet/packet.js";

/**
 * A hash of all values in their order: 64 bits, from two mixers of MurmurHash3 (Appleby). It distinguishes runs, and is not
 * secure against attacks.
 */
export class TraceHash {
  #one = 0x9747_b28c;
  #other = 0x1b87_3593;
  readonly #texts = new Map<string, number>();

  number(value: number): void {
    this.#word(value | 0);
    if (value > 0x7fff_ffff || value < -0x8000_0000) this.#word((value / 0x1_0000_0000) | 0);
  }

  /** A text that occurs often, such as an address. Each is hashed once and then remembered. */
  text(value: string): void {
    let known = this.#texts.get(value);
    if (known === undefined) {
      known = ofText(value);
      if (this.#texts.size < maxTexts) this.#texts.set(value, known);
    }
    this.#word(known);
  }

  packet(packet: Packet): void {
    this.text(packet.source);
    this.text(packet.destination);
    this.#word(
      (packet.ttl << 16) | (packet.tos << 8) | (packet.dontFragment ? 2 : 0) | (packet.moreFragments ? 1 : 0),
    );
    this.#word(packet.identification);
    this.#word((packet.offset << 16) ^ packet.length);
    const { content, offset, length } = packet;
    if (content.protocol === "udp") {
      this.#word((content.sourcePort << 16) ^ content.destinationPort);
      // Only the part in this packet: otherwise, each fragment would read the whole datagram.
      this.#word(
        ofBytes(content.payload, Math.max(0, offset - udpHeaderBytes), offset + length - udpHeaderBytes),
      );
    } else {
      this.#word((content.type << 24) ^ (content.code << 16) ^ content.mtu);
      this.#word(content.about.number);
    }
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    return [this.#one, this.#other].map((half) => finish(half).toString(16).padStart(8, "0")).join("");
  }

  #word(value: number): void {
    const mixed = Math.imul(value, 0xcc9e_2d51);
    const turned = Math.imul((mixed << 15) | (mixed >>> 17), 0x1b87_3593);
    const one = this.#one ^ turned;
    this.#one = (Math.imul((one << 13) | (one >>> 19), 5) + 0xe654_6b64) | 0;
    const other = this.#other ^ Math.imul(value ^ one, 0x85eb_ca6b);
    this.#other = (Math.imul((other << 17) | (other >>> 15), 9) + 0x38b3_4ae5) | 0;
  }
}

/** The number of texts that are remembered. */
const maxTexts = 65_536;

function ofText(text: string): number {
  let hash = 0x811c_9dc5;
  for (let index = 0; index < text.length; index++)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x0100_0193);
  return hash;
}

function ofBytes(bytes: Buffer, start: number, end: number): number {
  let hash = end - start;
  const words = start + (hash & ~3);
  // `DataView.getInt32` is one instruction, and `Buffer.readInt32LE` takes five times as long.
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = start; at < words; at += 4) {
    const mixed = Math.imul(view.getInt32(at, true), 0xcc9e_2d51);
    hash ^= Math.imul((mixed << 15) | (mixed >>> 17), 0x1b87_3593);
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe654_6b64) | 0;
  }
  for (let at = words; at < end; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x0100_0193);
  return hash;
}

function finish(half: number): number {
  let hash = half ^ (half >>> 16);
  hash = Math.imul(hash, 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
