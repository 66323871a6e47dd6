import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { markAsUntransferable } from "node:worker_threads";

import { assert } from "../../core/assert.js";
import type { CopyPieces, Crc32, TakeChunks } from "../../core/driver/driver.js";
import { View } from "../../core/driver/view.js";
import { type Runtime, runtime } from "../runtime.js";
import { type Layout, layout, layoutDifference } from "./layout.js";

const require = createRequire(import.meta.url);
/** The version of the calls of native/addon.cc. `layoutDifference` checks the shared memory. */
const interfaceVersion = 12;

/**
 * Why the addon must not be loaded: it would end the process. Seen with Bun 1.4.5 and Deno 2.9.6. Deno has the functions of
 * libuv, but frees the hook of `napi_add_async_cleanup_hook` twice when the program ends.
 */
const unfitRuntimes: Readonly<Partial<Record<Runtime["name"], string>>> = {
  Bun: "Bun lacks uv_poll_init, which the addon calls (github.com/oven-sh/bun/issues/18546): Node.js has it",
  Deno: "Deno crashes when a program with the addon ends: Node.js does not",
};

/** Pieces that wait to be received into again, at most: 1 MiB. */
const maxSpare = 32;
/** The largest number of `layout.arrays.chunkBytes` that a chunk has: what a kept datagram keeps in memory. */
const maxChunks = 4;

/** A socket of the addon. Calls return 0 or a count, or a negative errno. `receive`, `send` and `errors` may fill `Addon.errorQueue`. */
export interface Handle {
  bind(name: Uint8Array): number;
  connect(name: Uint8Array | null): number;
  /** @returns the bytes of the name. */
  local(name: Uint8Array): number;
  /** The same of the connected peer. */
  remote(name: Uint8Array): number;
  setOption(level: number, option: number, value: Uint8Array): number;
  /** Sets options to a number each: level, option and value of one after another. @returns 0, or the first negative errno. */
  setNumbers(options: Int32Array): number;
  /** @returns the bytes of the value. */
  getOption(level: number, option: number, value: Uint8Array): number;
  /** Reads messages into `Addon.receiveBatch`. @returns their number, as `layout.receiveResult` says. */
  receive(): number;
  /**
   * Sends `count` datagrams from index `from` on. The slots of `Addon.sendBatch` say where they go, from slot 0 on.
   *
   * @param starts where each payload begins in `payloads`.
   * @param lengths bytes of each payload.
   * @returns for `readSent`.
   */
  send(payloads: Uint8Array, starts: Int32Array, lengths: Int32Array, from: number, count: number): number;
  /** Reads the socket's error queue into `Addon.errorQueue`. */
  errors(): number;
  /** @returns bytes of the largest packet that goes whole to a destination. */
  pathMtu(name: Uint8Array): number;
  /** Whether runs of equal datagrams may leave as one segmented send. */
  segment(on: boolean): void;
  /** Puts the socket on the event loop, with the option that this needs. Otherwise `poll` and `send` do it. */
  prepare(): number;
  poll(events: number): number;
  /** Whether the socket keeps the process running. */
  keepAlive(on: boolean): void;
  close(): void;
}

/** What became of a send. */
export interface SendResult {
  /** How many were sent from the front on. */
  readonly sent: number;
  /** Where none were, the errno of the first; else 0. */
  readonly errno: number;
  /** How many a local rule rejected (`EPERM`): behind those sent, or from the first on. */
  readonly rejected: number;
  /** The errno that a segmented send was refused with, whose datagrams went one by one; 0 where none was. */
  readonly refused: number;
}

/** Reads what `Handle.send` gave. */
export function readSent(result: number): SendResult {
  const { sentBits, refusedBits } = layout.sendResult;
  const figures = Math.abs(result);
  const low = figures & ((1 << sentBits) - 1);
  return {
    sent: result > 0 ? low : 0,
    errno: result > 0 ? 0 : low,
    refused: (figures >> sentBits) & ((1 << refusedBits) - 1),
    rejected: figures >> (sentBits + refusedBits),
  };
}

/** The addon and the arrays that it shares with the sockets of this thread. */
export interface Addon {
  /**
   * @param fd the descriptor of a socket that another has opened.
   * @returns the handle, or a negative errno.
   */
  open(family: number, listener: HandleListener, fd?: number): Handle | number;
  /** @returns the family of a UDP socket, or a negative errno that says what the descriptor is. */
  familyOf(fd: number): number;
  /** @returns another descriptor of the same socket, or a negative errno. */
  duplicate(fd: number): number;
  /** `undefined` if the CPU has no instructions for it. */
  readonly crc32: Crc32 | undefined;
  /** `undefined` in an older build. */
  readonly copyPieces: CopyPieces | undefined;
  /** `undefined` in an older build, and without `crc32`. */
  readonly takeChunks: TakeChunks | undefined;
  /** @returns 0 when no interface has this name. */
  interfaceIndex(name: string): number;
  /** @returns `""` when no interface has this index. */
  interfaceName(index: number): string;
  readonly receiveBatch: {
    /** Slots of `layout.arrays.slotBytes`. */
    readonly slab: Buffer;
    /** The bytes of each message. */
    readonly lengths: Int32Array;
    /** For each message the bytes of each datagram of a merged run except the last; 0 if the message is one datagram. */
    readonly segments: Int32Array;
    /**
     * For each message the bytes that each of its pieces holds; 0 if the message is in its slot. The end of a message that
     * does not fit its pieces is in the slot, as if the whole message were there.
     */
    readonly pieceLengths: Int32Array;
    /** For each message its sender, a `layout.name`. */
    readonly names: Buffer;
    /** The same memory in words. */
    readonly nameWords: Int32Array;
    /** For each message its metadata, a `layout.metadata`. */
    readonly metadata: Int32Array;
    /** Returns piece `index`, which now belongs to the caller. Another piece takes its place. */
    takePiece(index: number): Buffer;
    /** Takes a piece back, which nothing uses any more. @param data a view of it. */
    returnPiece(data: Buffer): void;
    /**
     * Returns the datagram of message `index`, which is not a run. It may be called once for each message, in their order,
     * until the next receive.
     *
     * @param count of the messages of this receive.
     */
    takeDatagram(index: number, count: number): Buffer;
  };
  readonly sendBatch: {
    /** For each datagram of a send the slot of its name; -1 for the connected peer. */
    readonly slots: Int32Array;
    /** `layout.arrays.names` socket names, a `layout.name` each, in words of 4 bytes. A name of family 0 is the connected peer. */
    readonly names: Int32Array;
    /** The control messages of datagrams to the names of the first `layout.arrays.datagrams` slots: a `layout.control` each. */
    readonly controls: Int32Array;
  };
  readonly errorQueue: {
    /**
     * A `layout.errorQueueHead`: their count, to be set to 0 once they are read; the MTU over which the last send was refused,
     * or 0; the errno that the next call about the connected peer fails with, to be set to 0, or 0. Then a
     * `layout.icmpError` each.
     */
    readonly numbers: Int32Array;
    /** The destination and the sender of each error, as a `layout.name` each. The family is 0 if the address is unknown. */
    readonly names: Buffer;
  };
}

/** Receives the events of a socket of the addon. */
export interface HandleListener {
  /** @param events of `layout.events`. */
  onEvents(events: number): void;
}

/** The object of a socket. The addon's methods are its prototype. */
class OpenHandle {
  readonly listener: HandleListener;

  constructor(listener: HandleListener) {
    this.listener = listener;
  }
}

interface Binary {
  readonly version: number;
  readonly layout?: Layout;
  readonly methods: Handle;
  listen(callback: (this: OpenHandle, events: number) => void): number;
  open(self: object, family: number, fd: number): number;
  familyOf(fd: number): number;
  duplicate(fd: number): number;
  share(
    slab: Uint8Array,
    lengths: Int32Array,
    segments: Int32Array,
    pieceLengths: Int32Array,
    places: Int32Array,
    sources: Uint8Array,
    metadata: Int32Array,
    slots: Int32Array,
    names: Int32Array,
    controls: Int32Array,
    errors: Int32Array,
    errorNames: Uint8Array,
  ): number;
  setPiece(index: number, piece: Uint8Array): number;
  setChunk(chunk: Uint8Array, from: number): number;
  interfaceIndex(name: string): number;
  interfaceName(index: number): string;
  readonly crc32?: (bytes: Uint8Array, value: number) => number;
  readonly copyPieces?: (...args: Parameters<CopyPieces>) => number;
  readonly takeChunks?: TakeChunks;
  readonly crc32OfPieces?: (bytes: Uint8Array, pieceBytes: number, crcs: Int32Array) => number;
}

/** Loads the addon that the package has for this platform. Returns the reason if it cannot. */
export function loadAddon(): Addon | string {
  const unfit = unfitRuntimes[runtime.name];
  if (unfit !== undefined) return unfit;
  const target = `${process.platform}-${process.arch}`;
  if (process.platform !== "linux") return `the addon is for Linux, and this is ${target}`;
  // One binary for each CPU runs with glibc and with musl: docs/decisions/0027-one-binary-per-cpu.md.
  const file = inPackage(`prebuilds/${target}/datagram.node`);
  if (!existsSync(file)) return `the package has no addon for ${target}: ${buildCommand()} builds it`;
  let binary: Binary;
  try {
    binary = require(file) as Binary;
  } catch (error) {
    return `the addon does not load: ${(error as Error).message.split("\n")[0]}: ${buildCommand()} builds another one`;
  }
  if (binary.version !== interfaceVersion) {
    return `the addon is of another version of this package (${binary.version}, not ${interfaceVersion}): ${buildCommand()}`;
  }
  const difference = layoutDifference(binary.layout);
  if (difference !== undefined) {
    return `the addon is of another build of this package (${difference}): ${buildCommand()}`;
  }
  return share(binary);
}

/** The path of a file of the package. This module can be a part of any file of it: scripts/bundle.mjs. */
function inPackage(path: string): string {
  return join(dirname(require.resolve("datagram/package.json")), path);
}

/** The command that builds the addon for this machine. An installed package has no development dependencies. */
function buildCommand(): string {
  return existsSync(inPackage(".git"))
    ? "npm run build:addon"
    : `node ${inPackage("scripts/build-addon.mjs")}`;
}

function crc32Of(binary: Binary): Crc32 | undefined {
  const { crc32, crc32OfPieces } = binary;
  if (!crc32 || !crc32OfPieces) return undefined;
  return { of: (bytes, value = 0) => crc32(bytes, value), ofPieces: crc32OfPieces };
}

function copyPiecesOf({ copyPieces }: Binary): CopyPieces | undefined {
  if (!copyPieces) return undefined;
  return (...args) => {
    const refused = copyPieces(...args);
    assert(refused === 0, "the pieces are in the memory");
  };
}

function share(binary: Binary): Addon {
  const { arrays, name, metadata, control, errorQueueHead, icmpError } = layout;
  /** The addon receives into these pieces. Each must stay here until another one takes its place. */
  const pieces = Array.from({ length: arrays.pieces }, newPiece);
  /** Pieces that came back. The last one is the most likely to be in the cache of the CPU. */
  const spare: Buffer[] = [];
  /** The addon copies single datagrams into this chunk. It must stay here until another one takes its place. */
  let chunk: ArrayBufferLike | undefined;
  const slab = Buffer.allocUnsafeSlow(arrays.received * arrays.slotBytes);
  const lengths = new Int32Array(arrays.received);
  const segments = new Int32Array(arrays.received);
  /** The largest number of bytes of a datagram that shares a chunk. */
  const maxShared = arrays.chunkBytes / 2;
  /** For each message where it begins in the chunk; -1 if it is not there. */
  const places = new Int32Array(arrays.received);
  const names = Buffer.allocUnsafeSlow(arrays.received * name.bytes);
  const receiveBatch = {
    slab,
    lengths,
    segments,
    pieceLengths: new Int32Array(arrays.received),
    names,
    nameWords: new Int32Array(names.buffer, names.byteOffset, names.byteLength / 4),
    metadata: new Int32Array(arrays.received * metadata.words),
    takePiece(index: number): Buffer {
      const piece = pieces[index];
      const fresh = spare.pop() ?? newPiece();
      pieces[index] = fresh;
      if (!piece || binary.setPiece(index, fresh) !== 0) throw new Error(`the addon has no piece ${index}`);
      return piece;
    },
    returnPiece({ buffer }: Buffer): void {
      assert(buffer.byteLength === arrays.pieceBytes, "what comes back is a piece");
      if (spare.length < maxSpare) spare.push(new View(buffer, 0, arrays.pieceBytes));
    },
    takeDatagram(index: number, count: number): Buffer {
      const bytes = lengths[index] ?? 0;
      const place = places[index] ?? -1;
      return chunk !== undefined && place >= 0
        ? new View(chunk, place, bytes)
        : takeUnplaced(index, count, bytes);
    },
  };
  /** Returns a datagram that the chunk has no room for. */
  function takeUnplaced(index: number, count: number, bytes: number): Buffer {
    if (bytes > maxShared) {
      const own = newMemory(bytes);
      slab.copy(own, 0, index * arrays.slotBytes, index * arrays.slotBytes + bytes);
      return own;
    }
    const fresh = newMemory(chunkSize(index, count));
    chunk = fresh.buffer;
    const refused = binary.setChunk(fresh, index);
    const place = places[index] ?? -1;
    assert(refused === 0 && place >= 0, "a datagram has room in a new chunk");
    return new View(chunk, place, bytes);
  }
  /** The bytes of a chunk for the datagrams from message `from` on: a burst takes one chunk instead of many. */
  function chunkSize(from: number, count: number): number {
    let bytes = 0;
    for (let index = from; index < count; index++) {
      const length = lengths[index] ?? 0;
      if (segments[index] === 0 && length <= maxShared) bytes += length;
    }
    const chunks = Math.ceil(bytes / arrays.chunkBytes);
    return arrays.chunkBytes * Math.min(Math.max(chunks, 1), maxChunks);
  }
  const sendBatch = {
    slots: new Int32Array(arrays.datagrams),
    names: new Int32Array((arrays.names * name.bytes) / 4),
    controls: new Int32Array(arrays.datagrams * control.words),
  };
  const errorQueue = {
    numbers: new Int32Array(errorQueueHead.words + arrays.icmpErrors * icmpError.words),
    names: Buffer.alloc(2 * arrays.icmpErrors * name.bytes),
  };
  const shared = [
    receiveBatch.slab,
    receiveBatch.lengths,
    receiveBatch.segments,
    receiveBatch.pieceLengths,
    places,
    receiveBatch.names,
    receiveBatch.metadata,
    sendBatch.slots,
    sendBatch.names,
    sendBatch.controls,
    errorQueue.numbers,
    errorQueue.names,
  ] as const;
  // The addon keeps the addresses of these arrays: they must stay where they are.
  for (const { buffer } of shared) markAsUntransferable(buffer);
  const refused = binary.share(...shared);
  if (refused !== 0) throw new Error(`the addon refused the shared arrays: ${refused}`);
  for (const [index, piece] of pieces.entries()) binary.setPiece(index, piece);
  Object.setPrototypeOf(OpenHandle.prototype, binary.methods);
  const unheard = binary.listen(function (events) {
    this.listener.onEvents(events);
  });
  if (unheard !== 0) throw new Error(`the addon refused the listener: ${unheard}`);
  return {
    receiveBatch,
    sendBatch,
    errorQueue,
    open(family, listener, fd = -1) {
      const handle = new OpenHandle(listener);
      const error = binary.open(handle, family, fd);
      return error === 0 ? (handle as unknown as Handle) : error;
    },
    familyOf: (fd) => binary.familyOf(fd),
    duplicate: (fd) => binary.duplicate(fd),
    crc32: crc32Of(binary),
    copyPieces: copyPiecesOf(binary),
    takeChunks: binary.takeChunks,
    interfaceIndex: (name) => binary.interfaceIndex(name),
    interfaceName: (index) => binary.interfaceName(index),
  };
}

function newPiece(): Buffer {
  return newMemory(layout.arrays.pieceBytes);
}

/**
 * Makes memory for datagrams. It cannot be transferred: transferring one datagram would take the other datagrams of the memory
 * away. The pool of Node.js is not used, because its size depends on the version.
 */
function newMemory(bytes: number): Buffer {
  const memory = Buffer.allocUnsafeSlow(bytes);
  markAsUntransferable(memory.buffer);
  return memory;
}
