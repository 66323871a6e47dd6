import { Buffer } from "node:buffer";

/** Bytes that a piece takes beside its content, about: the object, and the numbers that a decoder keeps of it. */
const pieceBytes = 256;
const none = new Uint8Array();

/** The parts of one message, in the order of their arrival. They take memory only for bytes that have arrived. */
export class Pieces {
  #pieces: Uint8Array[] = [];
  #length = 0;

  /** The number of pieces. */
  get count(): number {
    return this.#pieces.length;
  }

  /** Bytes of all pieces. */
  get length(): number {
    return this.#length;
  }

  /** Bytes of memory. */
  get heldBytes(): number {
    return this.#length + this.#pieces.length * pieceBytes;
  }

  /** Copies a piece: a view of the datagram would keep the memory of its whole batch. */
  add(piece: Uint8Array): void {
    this.#pieces.push(new Uint8Array(piece));
    this.#length += piece.length;
  }

  /** Bytes of a piece. */
  lengthOf(piece: number): number {
    return this.#pieces[piece]?.length ?? 0;
  }

  /**
   * Returns all pieces as one.
   *
   * @param order the numbers of all pieces. @default the order of their arrival
   * @param head bytes before the pieces.
   * @param tail bytes after the pieces.
   */
  join(order?: readonly number[], head: Uint8Array = none, tail: Uint8Array = none): Buffer {
    const pieces = order?.map((piece) => this.#pieces[piece] ?? none) ?? this.#pieces;
    const length = head.length + this.#length + tail.length;
    // A buffer of the shared pool would keep the memory of others.
    const joined = Buffer.allocUnsafeSlow(length);
    let at = 0;
    for (const bytes of [head, ...pieces, tail]) {
      joined.set(bytes, at);
      at += bytes.length;
    }
    return joined;
  }

  /** Forgets all pieces. */
  clear(): void {
    this.#pieces = [];
    this.#length = 0;
  }
}
