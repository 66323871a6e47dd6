import { Buffer } from "node:buffer";

import { wrongType } from "./errors.js";

/** One piece of a payload: a string is sent as UTF-8. */
export type DataPiece = string | ArrayBufferView | ArrayBufferLike;

/** What every send call takes for a payload: a piece, or an array of pieces that are gathered into one datagram. */
export type Data = DataPiece | readonly DataPiece[];

/** The bytes of `data`. Not a copy where one view suffices; reads each part of the input once. */
export function toBytes(data: Data): Uint8Array {
  if (!Array.isArray(data)) return pieceToBytes(data as DataPiece);
  return Buffer.concat((data as readonly DataPiece[]).map(pieceToBytes));
}

function pieceToBytes(piece: DataPiece): Uint8Array {
  if (piece instanceof Uint8Array) return piece;
  if (typeof piece === "string") return Buffer.from(piece, "utf8");
  if (ArrayBuffer.isView(piece)) {
    return new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
  }
  if (piece instanceof ArrayBuffer || isSharedArrayBuffer(piece)) return new Uint8Array(piece);
  throw wrongType(
    "data",
    "a string, a Buffer, a TypedArray, a DataView, an ArrayBuffer or an array of these",
    piece,
  );
}

function isSharedArrayBuffer(value: unknown): value is SharedArrayBuffer {
  return typeof SharedArrayBuffer !== "undefined" && value instanceof SharedArrayBuffer;
}
