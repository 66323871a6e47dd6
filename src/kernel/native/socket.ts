/** One open socket of the Linux kernel: the state and the calls that the parts of the native driver share. */

import { Buffer } from "node:buffer";

import { type Endpoint, type Family, anyAddress } from "../../core/address/address.js";
import type { Capabilities } from "../../core/capabilities.js";
import { SOL_SOCKET, SO_RCVBUF, SO_SNDBUF } from "../../core/constants.js";
import { fromInt32, int32, littleEndian } from "../../core/driver/bytes.js";
import type { DriverEvents, DriverOptions, LedgerEvent } from "../../core/driver/driver.js";
import { fromErrno } from "../../core/errors/errors.js";
import type { Addon, Handle, HandleListener } from "./addon.js";
import { adoptionRefused } from "./adoption.js";
import { enableErrorQueue, enableHeaderMetadata, prepareToBind } from "./kernel-options.js";
import { layout } from "./layout.js";
import type { Names } from "./socket-names.js";
import { IcmpErrors } from "./icmp-errors.js";

const { bytes: nameBytes } = layout.name;
const { readable, writable, failing } = layout.events;

/**
 * `SO_MEMINFO` (asm-generic/socket.h): nine uint32s. The second is the size of the receive buffer, and the last counts
 * its drops (linux/sock_diag.h).
 */
const soMeminfo = 55;
const meminfoBytes = 36;
const meminfoBuffer = 4;
const meminfoDrops = 32;

/** An open socket. Its handle is replaced if another kernel socket takes its place (`Association`). */
export class KernelSocket implements HandleListener {
  readonly addon: Addon;
  readonly names: Names;
  readonly family: Family;
  readonly options: DriverOptions;
  readonly events: DriverEvents;
  /** What this socket can do now. */
  capabilities: Capabilities;
  handle: Handle;
  /** The address that the socket was bound to, as the caller gave it. */
  boundTo: Endpoint;
  /** The connected peer as the kernel has it, with its scope. */
  peer: Endpoint | undefined;
  /** The connected peer as the caller gave it. */
  peerGiven: Endpoint | undefined;
  /** Size of the receive buffer that was asked for, in bytes. */
  receiveBufferAsked = 0;
  /** Sizes of the buffers as they were first set; `undefined` if they were not, or by another option. */
  firstReceiveBuffer: number | undefined;
  firstSendBuffer: number | undefined;
  /** Runs when the socket may have room to send again. */
  onWritable: (() => void) | undefined;
  closed = false;
  #unreported: LedgerEvent[] | undefined;
  #icmpErrors: IcmpErrors | undefined;
  /** Whether the options were set that sending needs, and those that receiving needs. */
  #readyToSend = false;
  #readyToReceive = false;
  #polled = 0;
  #keptAlive = false;

  /** @throws `OSError` if the kernel opens no socket, or if the given descriptor cannot be adopted. */
  constructor(
    addon: Addon,
    names: Names,
    capabilities: Capabilities,
    family: Family,
    options: DriverOptions,
    events: DriverEvents,
  ) {
    this.addon = addon;
    this.names = names;
    this.capabilities = capabilities;
    this.family = family;
    this.options = options;
    this.events = events;
    this.boundTo = anyAddress(family);
    const { fd } = options;
    const handle = this.openHandle(fd);
    if (typeof handle === "number") {
      throw fd === undefined
        ? fromErrno(-handle, { syscall: "socket" })
        : adoptionRefused(fd, -handle, family);
    }
    this.handle = handle;
    try {
      if (fd !== undefined) this.#adopt();
      this.#prepareToBind(handle);
      // The program that opened the descriptor may have bound it and sent.
      if (fd !== undefined) this.prepareAll();
    } catch (error) {
      handle.close();
      throw error;
    }
  }

  /** Opens a kernel socket whose events come to this object. @returns the handle, or a negative errno. */
  openHandle(fd?: number): Handle | number {
    return this.addon.open(this.family, this, fd);
  }

  /** Called by the addon. */
  onEvents(events: number): void {
    if (this.closed) return;
    if ((events & failing) !== 0) this.readErrors();
    if ((events & writable) !== 0 && (this.#polled & writable) !== 0) this.onWritable?.();
    if ((events & readable) !== 0 && (this.#polled & readable) !== 0) this.events.readable();
  }

  /** The ICMP errors of this socket. */
  get icmpErrors(): IcmpErrors {
    return (this.#icmpErrors ??= new IcmpErrors(this.addon, this.names, (event) => this.report(event)));
  }

  /** Whether datagrams may have been sent, so that ICMP errors may come. */
  get readyToSend(): boolean {
    return this.#readyToSend;
  }

  /** Sets the options that sending needs, once. */
  prepareToSend(): void {
    if (this.#readyToSend) return;
    this.#prepareToSend(this.handle);
    this.#readyToSend = true;
  }

  /** Sets the options that receiving needs, once. */
  prepareToReceive(): void {
    if (this.#readyToReceive) return;
    this.#prepareToReceive(this.handle);
    this.#readyToReceive = true;
  }

  /** Sets every option that this driver needs, so that a program may read or set options by their numbers. */
  prepareAll(): void {
    this.check(this.handle.prepare(), "socket");
    this.prepareToSend();
    this.prepareToReceive();
  }

  /** Sets every option that this driver needs on a kernel socket that is to replace the open one. */
  prepareFresh(fresh: Handle): void {
    const receive = this.firstReceiveBuffer;
    this.#prepareToBind(fresh);
    if (receive !== undefined) this.check(fresh.setOption(SOL_SOCKET, SO_RCVBUF, int32(receive)), "socket");
    this.#prepareToSend(fresh);
    this.#prepareToReceive(fresh);
  }

  /** Sets the options that must be there before the first datagram arrives. */
  #prepareToBind(handle: Handle): void {
    const { segmentation, coalescing, packetInfo } = this.capabilities;
    if (!segmentation.available) handle.segment(false);
    const result = prepareToBind(handle, this.family, {
      coalescing: coalescing.available,
      dontFragment: this.options.dontFragment,
      metadata: this.options.metadata && packetInfo.available,
    });
    this.check(result, "socket");
  }

  #prepareToSend(handle: Handle): void {
    const send = this.firstSendBuffer;
    if (this.capabilities.icmpErrors.available) this.check(enableErrorQueue(handle, this.family), "socket");
    if (send !== undefined) this.check(handle.setOption(SOL_SOCKET, SO_SNDBUF, int32(send)), "socket");
  }

  #prepareToReceive(handle: Handle): void {
    if (this.options.metadata && this.capabilities.packetInfo.available)
      this.check(enableHeaderMetadata(handle, this.family), "socket");
  }

  /** The local address; throws if the socket is closed. */
  local(): Endpoint {
    const name = Buffer.alloc(nameBytes);
    this.check(this.handle.local(name), "getsockname");
    return this.names.read(name);
  }

  /** The peer that the kernel knows. @throws `OSError` `ENOTCONN` if there is none. */
  remote(): Endpoint {
    const name = Buffer.alloc(nameBytes);
    this.check(this.handle.remote(name), "getpeername");
    return this.names.read(name);
  }

  /** Bytes of the largest packet that reaches `to` in one piece, as far as the kernel knows. */
  pathMtu(to: Endpoint): number | undefined {
    const mtu = this.handle.pathMtu(this.names.write(to, "pathMtu"));
    return mtu > 0 ? mtu : undefined;
  }

  /** What the kernel says of the receive buffer; `undefined` if it says nothing. */
  memory(): { readonly receiveBufferBytes: number; readonly drops: number } | undefined {
    const bytes = Buffer.alloc(meminfoBytes);
    if (this.handle.getOption(SOL_SOCKET, soMeminfo, bytes) < meminfoBytes) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return {
      receiveBufferBytes: view.getUint32(meminfoBuffer, littleEndian),
      drops: view.getUint32(meminfoDrops, littleEndian),
    };
  }

  wantReadable(wanted: boolean): void {
    this.#poll(wanted ? this.#polled | readable : this.#polled & ~readable);
  }

  wantWritable(wanted: boolean): void {
    this.#poll(wanted ? this.#polled | writable : this.#polled & ~writable);
  }

  keepAlive(on: boolean): void {
    this.#keptAlive = on;
    this.handle.keepAlive(on || (this.#polled & writable) !== 0);
  }

  /** Closes the kernel socket and puts `fresh` in its place. */
  replaceHandle(fresh: Handle): void {
    this.handle.close();
    this.handle = fresh;
    this.keepAlive(this.#keptAlive);
    if (this.#polled !== 0) this.check(fresh.poll(this.#polled), "poll");
  }

  close(): void {
    this.closed = true;
    this.#polled = 0;
    this.handle.close();
  }

  /** Reads the kernel's error queue. */
  readErrors(): void {
    if (!this.#readyToSend) return;
    this.handle.errors();
    this.reportIcmpErrors();
  }

  /** Takes the ICMP errors that the last call to the addon read. */
  reportIcmpErrors(): void {
    // An error of the peer fails the next receive call: one that waits must look for it.
    if (this.icmpErrors.take(this.peer)) this.readableSoon();
  }

  /** Makes the socket look for arrivals after the call to the driver has returned. */
  readableSoon(): void {
    queueMicrotask(() => {
      if (!this.closed) this.events.readable();
    });
  }

  /** The events that are not reported yet. */
  get unreported(): readonly LedgerEvent[] {
    return this.#unreported ?? [];
  }

  /** Reports an event after the call to the driver has returned. */
  report(event: LedgerEvent): void {
    if ((this.#unreported ??= []).push(event) > 1) return;
    queueMicrotask(() => {
      // If a listener closes the socket, `CloseResult.unreported` has the rest.
      for (let event = this.#nextEvent(); event; event = this.#nextEvent()) this.events.ledger(event);
    });
  }

  /** @returns `result`. @throws `OSError` if it is a negative errno. */
  check(result: number, syscall: string, at?: Endpoint, text?: string): number {
    if (result >= 0) return result;
    throw fromErrno(-result, { syscall, address: at?.host, port: at?.port, text });
  }

  /** Reads what the program that opened the descriptor did with it. */
  #adopt(): void {
    this.boundTo = this.local();
    const name = Buffer.alloc(nameBytes);
    if (this.handle.remote(name) > 0) this.peer = this.names.read(name);
    const size = Buffer.alloc(4);
    this.check(this.handle.getOption(SOL_SOCKET, SO_RCVBUF, size), "socket");
    // The kernel returns twice the size that was set (socket(7)).
    this.receiveBufferAsked = fromInt32(size) / 2;
  }

  #poll(events: number): void {
    if (events === this.#polled || this.closed) return;
    const before = this.#polled;
    this.#polled = events;
    if (((events ^ before) & writable) !== 0) this.keepAlive(this.#keptAlive);
    this.check(this.handle.poll(events), "poll");
  }

  #nextEvent(): LedgerEvent | undefined {
    return this.closed ? undefined : this.#unreported?.shift();
  }
}
