import { Buffer } from "node:buffer";
import { endianness } from "node:os";

import { type Endpoint, type Family, anyAddress } from "../../core/address.js";
import { SOL_SOCKET, SO_ERROR } from "../../core/constants.js";
import type { Driver, DriverEvents, Sink } from "../../core/driver.js";
import { codeOf } from "../../core/errno.js";
import { type OSError, fromErrno } from "../../core/errors.js";
import type { Loss } from "../../core/events.js";
import type { Option, OptionValue } from "../../core/options.js";
import type { Outbound } from "../../core/outbound.js";
import { failure } from "../../core/sender.js";
import { type Addon, type Handle, nameBytes, readable, slotBytes, writable } from "./addon.js";
import type { Names } from "./names.js";
import { decodeOption, encodeMembership, encodeOption, optionRoom } from "./options.js";

const littleEndian = endianness() === "LE";
/** `SO_MEMINFO` (asm-generic/socket.h): nine uint32s, of which the last counts the drops of the receive buffer. */
const soMeminfo = 55;
const meminfoBytes = 36;
const meminfoDrops = 32;
/** Milliseconds between two tries after `ENOBUFS`, doubled each time up to the second figure. */
const firstRetryMs = 1;
const lastRetryMs = 32;
/** Tries before `ENOBUFS` is the datagram's: about a second. */
const mostRetries = 36;

/** A socket of the Linux kernel, through the addon. */
export class NativeDriver implements Driver {
  readonly batches = true;
  readonly #addon: Addon;
  readonly #names: Names;
  readonly #family: Family;
  readonly #events: DriverEvents;
  readonly #handle: Handle;
  #boundTo: Endpoint;
  #peer: Endpoint | undefined;
  #wanted = 0;
  #held = false;
  #multicastInterface: OptionValue | undefined;
  #batch: Outbound | undefined;
  #retries = 0;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(addon: Addon, names: Names, family: Family, events: DriverEvents) {
    this.#addon = addon;
    this.#names = names;
    this.#family = family;
    this.#events = events;
    this.#boundTo = anyAddress(family);
    const handle = addon.open(family, (told) => this.#told(told));
    if (typeof handle === "number") throw fromErrno(-handle, { syscall: "socket" });
    this.#handle = handle;
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

  receive(sink: Sink, max: number): number {
    const count = this.#handle.receive(max);
    this.#check(count, "recvfrom", this.#peer);
    const { slab, lengths, names } = this.#addon.inbox;
    for (let index = 0; index < count; index++) {
      const length = lengths[index] ?? 0;
      const start = index * slotBytes;
      const data = Buffer.allocUnsafe(length);
      slab.copy(data, 0, start, start + length);
      sink.push(data, this.#names.read(names, index * nameBytes));
    }
    return count;
  }

  wantReadable(on: boolean): void {
    this.#want(on ? this.#wanted | readable : this.#wanted & ~readable);
  }

  send(batch: Outbound): number {
    this.#batch = batch;
    return this.#advance();
  }

  dropped(): number | undefined {
    const bytes = Buffer.alloc(meminfoBytes);
    if (this.#handle.getOption(SOL_SOCKET, soMeminfo, bytes) < meminfoBytes) return undefined;
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(meminfoDrops, littleEndian);
  }

  hold(on: boolean): void {
    this.#held = on;
    this.#handle.hold(on || (this.#wanted & writable) !== 0);
  }

  close(): Loss {
    this.#closed = true;
    this.#wanted = 0;
    this.#batch = undefined;
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
    const count = this.#advance();
    if (count > 0) this.#events.settled(count);
  }

  /** Sends what it can of the batch. Gives back how many datagrams more are settled. */
  #advance(): number {
    const batch = this.#batch;
    if (!batch) return 0;
    let { settled: from, settledBytes: offset } = batch;
    let ready = this.#address(batch, from);
    while (from < batch.count) {
      let passed = 1; // The one at the front has failed, or could not be addressed.
      if (from < ready) {
        const sent = this.#handle.send(batch.arena, offset, batch.lengths, from, ready - from);
        if (sent <= 0 && this.#waitsFor(codeOf(-sent))) break;
        this.#retries = 0;
        if (sent > 0) passed = sent;
        else batch.fail(from, failure(codeOf(-sent), batch.peers[from] ?? null, this.#peer ?? null));
      }
      const past = from === ready;
      for (; passed > 0; passed--) offset += batch.length(from++);
      if (past) ready = this.#address(batch, from);
    }
    if (from === batch.count) this.#batch = undefined;
    return from - batch.settled;
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

  /** Writes the peers of the batch from `from` on where the addon reads them. Gives the first that it could not. */
  #address(batch: Outbound, from: number): number {
    const { peers, names } = this.#addon;
    let last: Endpoint | null | undefined;
    let slot = -1;
    for (let index = from; index < batch.count; index++) {
      const peer = batch.peers[index] ?? null;
      if (peer !== last) {
        last = peer;
        if (peer) {
          try {
            names.set(this.#names.write(peer, "sendto"), ++slot * nameBytes);
          } catch (error) {
            batch.fail(index, error as OSError);
            return index;
          }
        }
      }
      peers[index] = peer ? slot : -1;
    }
    return batch.count;
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
