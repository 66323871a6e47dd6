/**
 * The driver over the addon. `driver.ts` is one socket as the core sees it, and `stack.ts` what all of them share. A
 * `KernelSocket` (`socket.ts`) holds the handle of the addon. Its parts have one concern each: `sending.ts` with
 * `route-encoder.ts`, `receiving.ts` with `message-metadata.ts`, `association.ts` (bind and connect), `settings.ts` (options and
 * memberships, to apply them again), `error-queue.ts` with `icmp-errors.ts`. `addon.ts` declares the addon, and `layout.ts`
 * has the numbers that both sides must agree on.
 */

import { Buffer } from "node:buffer";

import type { Endpoint } from "../../core/address/address.js";
import type { Capabilities } from "../../core/capabilities.js";
import { int32 } from "../../core/driver/bytes.js";
import type { CloseResult, Driver, Sink } from "../../core/driver/driver.js";
import type { MembershipChange } from "../../core/driver/membership.js";
import { type Option, type OptionValue, twinOf } from "../../core/driver/options.js";
import type { Outbound } from "../../core/driver/outbound.js";
import { codeOf } from "../../core/errors/errno.js";
import type { DriverCounts } from "../../core/ledger/ledger.js";
import { bufferSize } from "../buffers.js";
import { checkBindScope } from "../interfaces.js";
import { membershipRefused } from "../membership-limits.js";
import { Association } from "./association.js";
import { encodeMembership } from "./membership-request.js";
import { decodeOption, encodeOption, optionRefusal, optionRoom } from "./options.js";
import { checkGettable, checkSettable } from "./raw-options.js";
import { Receiving } from "./receiving.js";
import { Sending } from "./sending.js";
import { Settings } from "./settings.js";
import type { KernelSocket } from "./socket.js";

/** A socket of the Linux kernel, through the addon. */
export class NativeDriver implements Driver {
  readonly batches = true;
  readonly #socket: KernelSocket;
  // These are made at first use: a program may have many sockets that are idle.
  #madeSettings: Settings | undefined;
  #madeAssociation: Association | undefined;
  #madeSending: Sending | undefined;
  #madeReceiving: Receiving | undefined;
  /** The interfaces that were set, by the name of the option. */
  #multicastInterfaces: Map<string, OptionValue> | undefined;

  constructor(socket: KernelSocket) {
    this.#socket = socket;
  }

  get capabilities(): Capabilities {
    return this.#socket.capabilities;
  }

  bind(at: Endpoint): undefined {
    const socket = this.#socket;
    const name = socket.names.write(at, "bind");
    checkBindScope(at);
    socket.check(socket.handle.bind(name), "bind", at);
    socket.boundTo = at;
  }

  connect(to: Endpoint | null): undefined {
    this.#association.connect(to);
  }

  local(): Endpoint {
    return this.#socket.local();
  }

  remote(): Endpoint {
    return this.#socket.peer ?? this.#socket.remote();
  }

  setOption(option: Option, value: OptionValue): void {
    this.#setOne(option, value);
    const twin = twinOf(option, value);
    if (twin) this.#setOne(twin.option, twin.value);
  }

  getOption(option: Option): OptionValue {
    const pending = option.name === "SO_ERROR" ? this.#socket.icmpErrors.takePendingError() : undefined;
    if (pending) return pending.errno;
    // The kernel forgets the name, and gives no address of an interface that was named.
    const named = this.#multicastInterfaces?.get(option.name);
    if (named !== undefined) return named;
    if (option.name.startsWith("SO_SNDBUF")) this.#socket.prepareToSend();
    const bytes = Buffer.alloc(optionRoom(option));
    const text = `${option.name} cannot be read now`;
    const length = this.#socket.check(
      this.#socket.handle.getOption(option.level, option.option, bytes),
      "getsockopt",
      undefined,
      text,
    );
    return decodeOption(option, bytes.subarray(0, length), this.#socket.names);
  }

  setBytes(level: number, option: number, value: Uint8Array): void {
    checkSettable(level, option);
    this.#socket.prepareAll();
    const text = `the kernel does not take ${value.length} bytes for option ${option} at level ${level}`;
    this.#socket.check(this.#socket.handle.setOption(level, option, value), "setsockopt", undefined, text);
    this.#settings.set(level, option, value);
  }

  getBytes(level: number, option: number, length: number): Buffer {
    checkGettable(level, option);
    this.#socket.prepareAll();
    const bytes = Buffer.alloc(length);
    const text = `the kernel does not give option ${option} at level ${level} as ${length} bytes`;
    const result = this.#socket.handle.getOption(level, option, bytes);
    return bytes.subarray(0, this.#socket.check(result, "getsockopt", undefined, text));
  }

  changeMembership(change: MembershipChange): void {
    const result = this.#change(change);
    if (result >= 0) {
      this.#settings.changed(change);
      return;
    }
    const code = codeOf(-result);
    // Where all sources were heard, the kernel has turned the filter into one of no source (`ip_mc_source`,
    // net/ipv4/igmp.c), and the socket is deaf: this turns it back, and changes no other.
    if (change.call === "dropSourceMembership" && code === "EADDRNOTAVAIL")
      this.#change({ ...change, call: "unblockSource" });
    throw membershipRefused(code, change);
  }

  receive(sink: Sink): boolean {
    return this.#receiving.receive(sink);
  }

  wantReadable(wanted: boolean): void {
    this.#socket.wantReadable(wanted);
  }

  send(batch: Outbound): number {
    return this.#sending.send(batch);
  }

  counts(): DriverCounts {
    const memory = this.#socket.memory();
    return {
      droppedKernel:
        memory === undefined ? undefined : (this.#madeReceiving?.droppedBefore ?? 0) + memory.drops,
      receiveBuffer:
        memory && bufferSize("receive", this.#socket.receiveBufferAsked, memory.receiveBufferBytes),
      systemCalls: Object.freeze({
        send: this.#madeSending?.calls ?? 0,
        receive: this.#madeReceiving?.calls ?? 0,
      }),
      segmentationRefused: Object.freeze(this.#madeSending?.segmentationRefused ?? {}),
    };
  }

  keepAlive(on: boolean): void {
    this.#socket.keepAlive(on);
  }

  pathMtu(to: Endpoint): number | undefined {
    return this.#socket.pathMtu(to);
  }

  close(): CloseResult {
    const socket = this.#socket;
    if (socket.closed) return { unread: { datagrams: 0, bytes: 0 }, unreported: [] };
    socket.readErrors();
    this.#madeSending?.close();
    socket.close();
    return {
      unread: this.#madeReceiving?.unread ?? { datagrams: 0, bytes: 0 },
      unreported: socket.unreported,
    };
  }

  #change(change: MembershipChange): number {
    const { level, option, value } = encodeMembership(change, this.#socket.names);
    return this.#socket.handle.setOption(level, option, value);
  }

  get #settings(): Settings {
    return (this.#madeSettings ??= new Settings(this.#socket.names));
  }

  get #association(): Association {
    return (this.#madeAssociation ??= new Association(this.#socket, this.#settings, this.#receiving));
  }

  get #sending(): Sending {
    return (this.#madeSending ??= new Sending(this.#socket));
  }

  get #receiving(): Receiving {
    return (this.#madeReceiving ??= new Receiving(this.#socket));
  }

  #setOne(option: Option, value: OptionValue): void {
    if (!this.#madeSettings && this.#setFirstBuffer(option, value)) return;
    if (option.name.startsWith("SO_SNDBUF")) this.#socket.prepareToSend();
    const bytes = encodeOption(option, value, this.#socket.names);
    const result = this.#socket.handle.setOption(option.level, option.option, bytes);
    if (result < 0) throw optionRefusal(option, value, codeOf(-result));
    this.#settings.set(option.level, option.option, bytes);
    if (option.kind === "interface" && option.networkIndex !== true)
      (this.#multicastInterfaces ??= new Map<string, OptionValue>()).set(option.name, value);
    if (option.name.startsWith("SO_RCVBUF")) this.#socket.receiveBufferAsked = value as number;
  }

  /** Sets a buffer of a new socket: the send buffer once it sends. Returns whether the option was one of them. */
  #setFirstBuffer({ name, level, option }: Option, value: OptionValue): boolean {
    const socket = this.#socket;
    if (name === "SO_SNDBUF" && !socket.readyToSend) {
      socket.firstSendBuffer = value as number;
      return true;
    }
    if (name !== "SO_RCVBUF") return false;
    socket.check(socket.handle.setOption(level, option, int32(value as number)), "setsockopt");
    socket.firstReceiveBuffer = socket.receiveBufferAsked = value as number;
    return true;
  }
}
