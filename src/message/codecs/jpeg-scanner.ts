/** Finds the end of a picture, slice by slice. */
export interface PictureEnd {
  /** Whether the next slice belongs to this picture, although it looks like the beginning of another one. */
  goesOn(bytes: Uint8Array): boolean;
  /**
   * Looks at the next slice.
   *
   * @returns the index after the last byte of the picture; `undefined` if the picture goes on; `"invalid"` if it is no JPEG.
   */
  push(bytes: Uint8Array): number | "invalid" | undefined;
}

const soi = 0xd8;
const eoi = 0xd9;
const sos = 0xda;

/** Whether FF D8, the beginning of a JPEG picture, is at an index. */
export function isSoi(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0xff && bytes[at + 1] === soi;
}

/**
 * Finds the end of a JPEG picture, piece by piece (ITU-T T.81 annex B). It follows the markers, so it does not take the end of
 * a thumbnail in the metadata for the end of the picture.
 */
export class JpegScanner implements PictureEnd {
  /**
   * What the next byte is: in a marker (`"ff"`, `"marker"`), in the length of a segment (`"high"`, `"low"`), in a segment that is
   * skipped, or in compressed data (`"data"`, and `"escape"` after FF).
   */
  #state: "soi" | "ff" | "marker" | "high" | "low" | "skip" | "data" | "escape" = "soi";
  /** The marker of the segment. */
  #marker = 0;
  /** Bytes of the segment that are left. */
  #left = 0;

  /** In a segment, FF D8 may begin a thumbnail. In compressed data it cannot be. */
  goesOn(): boolean {
    return this.#state === "skip";
  }

  push(bytes: Uint8Array): number | "invalid" | undefined {
    for (let at = 0; at < bytes.length; at++) {
      if (this.#state === "skip") {
        const skipped = Math.min(this.#left, bytes.length - at);
        this.#left -= skipped;
        at += skipped;
        if (this.#left > 0) return undefined;
        this.#state = this.#marker === sos ? "data" : "ff";
        if (at === bytes.length) return undefined;
      }
      if (this.#state === "data") {
        at = bytes.indexOf(0xff, at);
        if (at < 0) return undefined;
        this.#state = "escape";
        continue;
      }
      const byte = bytes[at] as number;
      switch (this.#state) {
        case "soi":
          if (byte === 0xff) break;
          if (byte !== soi) return "invalid";
          this.#state = "ff";
          break;
        case "ff":
          if (byte !== 0xff) return "invalid";
          this.#state = "marker";
          break;
        case "escape":
          // FF 00 is the value FF, and the restart markers have no length. Another marker ends the data.
          if (byte === 0 || (byte >= 0xd0 && byte <= 0xd7)) this.#state = "data";
          else if (byte !== 0xff && !this.#begins(byte)) return "invalid";
          if (byte === eoi) return at + 1;
          break;
        case "marker":
          if (byte === eoi) return at + 1;
          if (byte !== 0xff && !this.#begins(byte)) return "invalid";
          break;
        case "high":
          this.#left = byte * 256;
          this.#state = "low";
          break;
        case "low":
          this.#left += byte - 2;
          if (this.#left < 0) return "invalid";
          this.#state = "skip";
          break;
      }
    }
    return undefined;
  }

  /** Begins a segment. Returns whether the marker may be there. */
  #begins(marker: number): boolean {
    this.#marker = marker;
    this.#state = "high";
    // Below C0 are reserved markers, and D0 to D8 have no segment.
    return marker >= 0xc0 && !(marker >= 0xd0 && marker <= soi);
  }
}
