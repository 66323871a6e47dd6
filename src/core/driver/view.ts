import { Buffer } from "node:buffer";

/** Makes a view of memory as `Buffer.from` does, in less time. */
type ViewConstructor = new (memory: ArrayBufferLike, start: number, bytes: number) => Buffer;

/** The class of the buffers of Node.js. */
export const View: ViewConstructor = (Buffer as unknown as { readonly [Symbol.species]: ViewConstructor })[
  Symbol.species
];
