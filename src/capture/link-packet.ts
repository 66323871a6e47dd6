/** The largest number of bytes of a packet, or of a block with a packet. Wireshark has the same limit. */
export const maxPacketBytes: number = 16 << 20;

/** A packet of a capture file, as it was on the link. */
export interface LinkPacket {
  readonly linkType: number;
  /** A piece of memory. The captured bytes are those from `start` to `end`. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** Bytes on the link: at least the captured ones. */
  readonly originalLength: number;
  readonly timestamp: bigint | undefined;
  readonly direction: "in" | "out" | undefined;
  readonly interface: string | undefined;
  readonly lostBefore: number | undefined;
  readonly comment: string | undefined;
}

/** Reads the packets of one format. */
export interface PacketReader {
  /** Bytes that must be in the window before `next` can go on. */
  readonly needed: number;
  /** Packets that the recorder lost, as the file says; `undefined` if it does not say. */
  readonly lost: number | undefined;
  /**
   * Returns the next packet, or `undefined` if more bytes are needed. @throws `CaptureError` if the bytes are impossible.
   */
  next(): LinkPacket | undefined;
  /** Returns where the part starts that the end of the file cuts; `undefined` if the file is complete. */
  cutAt(): number | undefined;
}
