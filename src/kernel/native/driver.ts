import { Buffer } from "node:buffer";

import { type Endpoint, type Family, anyAddress } from "../../core/address.js";
import { SOL_SOCKET, SO_ERROR } from "../../core/constants.js";
import { type Capabilities, unavailable } from "../../core/capabilities.js";
import type { Driver, DriverEvents, DriverOptions, Sink } from "../../core/driver.js";
import { codeOf } from "../../core/errno.js";
import { type OSError, fromErrno } from "../../core/errors.js";
import type { Option, OptionValue } from "../../core/options.js";
import type { Outbound } from "../../core/outbound.js";
import { failure } from "../../core/failure.js";
import type { DriverCounts, Traffic } from "../../core/stats.js";
import { bufferSize } from "../buffers.js";
import {
  type Addon,
  type Handle,
  countBits,
  countMask,
  datagramNumbers,
  mostDatagrams,
  nameBytes,
  readable,
  slotBytes,
  writable,
} from "./addon.js";
import { int32, littleEndian } from "./bytes.js";
import { Chunks } from "./chunks.js";
import type { Names } from "./names.js";
import { SOL_UDP, UDP_GRO } from "./offload.js";
import { decodeOption, encodeMembership, encodeOption, optionRoom } from "./options.js";

/**
 * `SO_MEMINFO` (asm-generic/socket.h): nine uint32s, of which the second is the size of the receive buffer and the last
 * counts its drops (linux/sock_diag.h).
 */
const soMeminfo = 55;
const meminfoBytes = 36;
const meminfoBuffer = 4;
const meminfoDrops = 32;
/** Bytes of memory that the datagrams of merged runs share. */
const runChunkBytes = 32_768;
/**
 * Memory for what the sockets of this thread receive. Single datagrams share less: they come slowly, and one that is kept
 * would keep what came minutes before and after. Not from Node's own pool, whose size depends on the version.
 */
const runs = new Chunks(runChunkBytes);
const singles = new Chunks(8192);
/** Milliseconds between two tries after `ENOBUFS`, doubled each time up to the second figure. */
const firstRetryMs = 1;
const lastRetryMs = 32;
/** Tries before `ENOBUFS` is the datagram's: about a second. */
const mostRetries = 36;

/** A socket of the Linux kernel, through the addon. */
export class NativeDriver implements Driver {
  readonly batches = true;
  #capabilities: Capabilities;
  readonly #addon: Addon;
  readonly #names: Names;
  readonly #family: Family;
  readonly #events: DriverEvents;
  readonly #handle: Handle;
  #boundTo: Endpoint;
  #peer: Endpoint | undefined;
  #wanted = 0;
  #held = false;
  readonly #calls = { send: 0, receive: 0 };
  readonly #refusals = new Map<string, number>();
  #multicastInterface: OptionValue | undefined;
  /** What was asked for unread datagrams. */
  #askedBytes = 0;
  #retries = 0;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(
    addon: Addon,
    names: Names,
    capabilities: Capabilities,
    family: Family,
    options: DriverOptions,
    events: DriverEvents,
  ) {
    options;
    this.#capabilities = capabilities;
    this.#addon = addon;
    this.#names = names;
    this.#family = family;
    this.#events = events;
    this.#boundTo = anyAddress(family);
    const handle = addon.open(family, (told) => this.#told(told));
    if (typeof handle === "number") throw fromErrno(-handle, { syscall: "socket" });
    this.#handle = handle;
    handle.segment(capabilities.segmentation.available);
    // Never again: merged datagrams that wait would lose their boundaries.
    if (!capabilities.coalescing.available) return;
    const result = handle.setOption(SOL_UDP, UDP_GRO, int32(1));
    if (result === 0) return;
    handle.close();
    throw fromErrno(-result, { syscall: "socket" });
  }

  get capabilities(): Capabilities {
    return this.#capabilities;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- what it throws must be a rejection
  async bind(at: Endpoint): Promise<void> {
    this.#check(this.#handle.bind(this.#names.write(at, "bind")), "bind", at);
    this.#boundTo = at;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- what it throws must be a rejection
  async connect(to: Endpoint | null): Promise<void> {
    if (this.#peer) this.#disconnect();
    if (!to) return;
    this.#check(this.#handle.connect(this.#names.write(to, "connect")), "connect", to);
    this.#peer = to;
  }

  local(): Endpoint {
    const name = Buffer.alloc(nameBytes);
    this.#check(this.#handle.local(name), "getsockname");
    return this.#names.read(name);
  }

  remote(): Endpoint {
    const name = Buffer.alloc(nameBytes);
    this.#check(this.#handle.remote(name), "getpeername");
    return this.#names.read(name);
  }

  setOption(option: Option, value: OptionValue): void {
    const bytes = encodeOption(option, value, this.#family, this.#names);
    const text = `${option.name} cannot be ${JSON.stringify(value)} here`;
    this.#check(this.#handle.setOption(option.level, option.option, bytes), "setsockopt", undefined, text);
    if (option.kind === "interface") this.#multicastInterface = value;
    if (option.name === "SO_RCVBUF") this.#askedBytes = value as number;
  }

  getOption(option: Option): OptionValue {
    // The kernel forgets the name, and gives no address of an interface that was named.
    if (option.kind === "interface" && this.#multicastInterface !== undefined)
      return this.#multicastInterface;
    const bytes = Buffer.alloc(optionRoom(option));
    const text = `${option.name} cannot be read now`;
    const length = this.#check(
      this.#handle.getOption(option.level, option.option, bytes),
      "getsockopt",
      undefined,
      text,
    );
    return decodeOption(option, bytes.subarray(0, length), this.#family, this.#names);
  }

  membership(change: "add" | "drop", group: Endpoint, at: string | undefined): void {
    const { level, option, value } = encodeMembership(change, group, at, this.#names);
    const syscall = change === "add" ? "addMembership" : "dropMembership";
    const result = this.#handle.setOption(level, option, value);
    if (result < 0) throw fromErrno(-result, { syscall, address: group.host });
  }

  receive(sink: Sink): boolean {
    this.#calls.receive++;
    const result = this.#check(this.#handle.receive(), "recvfrom", this.#peer);
    const count = result & countMask;
    const { slab, lengths, segments, names } = this.#addon.inbox;
    for (let index = 0; index < count; index++) {
      const source = this.#names.read(names, index * nameBytes);
      const segment = segments[index] ?? 0;
      const start = index * slotBytes;
      const end = start + (lengths[index] ?? 0);
      if (segment > 0) this.#pushRun(sink, slab, start, end, source, segment);
      else sink.push(copyOf(slab, start, end, singles), source, 0);
    }
    return result >> countBits > 0;
  }

  wantReadable(wanted: boolean): void {
    this.#want(wanted ? this.#wanted | readable : this.#wanted & ~readable);
  }

  send(batch: Outbound): number {
    const from = batch.settled;
    const count = this.#describe(batch, from);
    if (count === 0) return 1;
    this.#calls.send++;
    const result = this.#handle.send(batch.arena, count);
    if (result > 0) {
      this.#retries = 0;
      const refused = result >> countBits;
      if (refused > 0) this.#segmentationRefused(codeOf(refused));
      return result & countMask;
    }
    const code = codeOf(-result);
    if (this.#waitsFor(code)) return 0;
    this.#retries = 0;
    batch.fail(from, failure(code, batch.peer(from), this.#peer ?? null));
    return 1;
  }

  counts(): DriverCounts {
    const bytes = Buffer.alloc(meminfoBytes);
    const known = this.#handle.getOption(SOL_SOCKET, soMeminfo, bytes) >= meminfoBytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const readBytes = view.getUint32(meminfoBuffer, littleEndian);
    return {
      droppedKernel: known ? view.getUint32(meminfoDrops, littleEndian) : undefined,
      receiveBuffer: known ? bufferSize("receive", this.#askedBytes, readBytes) : undefined,
      systemCalls: Object.freeze({ ...this.#calls }),
      segmentationRefused: Object.freeze(Object.fromEntries(this.#refusals)),
    };
  }

  hold(held: boolean): void {
    this.#held = held;
    this.#handle.hold(held || (this.#wanted & writable) !== 0);
  }

  pathMtu(to: Endpoint): number | undefined {
    to;
    return undefined;
  }

  close(): Traffic {
    this.#closed = true;
    this.#wanted = 0;
    clearTimeout(this.#retry);
    this.#handle.close();
    return { datagrams: 0, bytes: 0 };
  }

  #told(events: number): void {
    if (this.#closed) return;
    if ((events & writable) !== 0 && (this.#wanted & writable) !== 0) this.#resume();
    if ((events & readable) !== 0 && (this.#wanted & readable) !== 0) this.#events.readable();
  }

  #want(events: number): void {
    if (events === this.#wanted || this.#closed) return;
    if (((events ^ this.#wanted) & writable) !== 0)
      this.#handle.hold(this.#held || (events & writable) !== 0);
    this.#wanted = events;
    this.#check(this.#handle.poll(events), "poll");
  }

  /** There may be room again. */
  #resume(): void {
    this.#want(this.#wanted & ~writable);
    this.#events.settled(0);
  }

  /** Whether a send that gave `code` is to be tried again, which is seen to. */
  #waitsFor(code: string): boolean {
    if (code === "EAGAIN") {
      this.#want(this.#wanted | writable);
      return true;
    }
    if (code !== "ENOBUFS" || this.#retries === mostRetries) return false;
    // The queue of the device is full. The socket is writable all the same, so there is no event to wait for.
    this.#retry = setTimeout(
      () => this.#resume(),
      Math.min(firstRetryMs * 2 ** this.#retries++, lastRetryMs),
    );
    return true;
  }

  /**
   * Writes the datagrams of a batch from `from` on where the addon reads them, as many as one send takes.
   *
   * @returns how many; 0 when the first has failed, because its peer could not be written.
   */
  #describe(batch: Outbound, from: number): number {
    const { datagrams, names } = this.#addon.outbox;
    const { starts, lengths } = batch;
    const count = Math.min(batch.count - from, mostDatagrams);
    const { mixed } = batch;
    let peer = batch.peer(from);
    let last: Endpoint | null = null;
    let slot = -1;
    let slots = 0;
    for (let index = 0; index < count; index++) {
      if (mixed) peer = batch.peer(from + index);
      if (peer !== last && !(peer && last?.equals(peer))) {
        last = peer;
        slot = peer ? slots++ : -1;
        if (peer) {
          try {
            this.#names.writeTo(names, slot, peer, "sendto");
          } catch (error) {
            if (index === 0) batch.fail(from, error as OSError);
            return index;
          }
        }
      }
      const at = index * datagramNumbers;
      datagrams[at] = starts[from + index] ?? 0;
      datagrams[at + 1] = lengths[from + index] ?? 0;
      datagrams[at + 2] = slot;
    }
    return count;
  }

  /** Copies a merged run out of the slab before it is read into again, in pieces that fit a chunk. */
  #pushRun(sink: Sink, slab: Buffer, start: number, end: number, source: Endpoint, segment: number): void {
    const most = segment > runChunkBytes ? segment : runChunkBytes - (runChunkBytes % segment);
    for (let from = start; from < end; from += most) {
      sink.push(copyOf(slab, from, Math.min(from + most, end), runs), source, segment);
    }
  }

  /** A segmented send was refused, and its datagrams went one by one. */
  #segmentationRefused(code: string): void {
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1);
    if (code !== "EINVAL") return;
    const reason = "the kernel refused a segmented send of this socket: EINVAL";
    this.#capabilities = Object.freeze({ ...this.#capabilities, segmentation: unavailable(reason) });
  }

  /** The kernel takes the port away from a socket that had not named it (`__udp_disconnect`, net/ipv4/udp.c). */
  #disconnect(): void {
    const { port } = this.local();
    this.#check(this.#handle.connect(null), "connect");
    this.#peer = undefined;
    // Reading it clears it: what ICMP said of this peer must not fail a call about another.
    this.#handle.getOption(SOL_SOCKET, SO_ERROR, Buffer.alloc(4));
    if (this.local().port === port) return;
    const again = this.#boundTo.withPort(port) as Endpoint;
    this.#check(this.#handle.bind(this.#names.write(again, "bind")), "bind", again);
  }

  #check(result: number, syscall: string, at?: Endpoint, text?: string): number {
    if (result >= 0) return result;
    throw fromErrno(-result, { syscall, address: at?.host, port: at?.port, text });
  }
}

function copyOf(slab: Buffer, start: number, end: number, memory: Chunks): Buffer {
  const copy = memory.take(end - start);
  slab.copy(copy, 0, start, end);
  return copy;
}
