import { Buffer } from "node:buffer";
import { markAsUntransferable } from "node:worker_threads";

import { type Endpoint, type Family, anyAddress, isOverIPv4 } from "../../core/address/address.js";
import { boundElsewhereText, noInterfaceText, peerOf } from "../../core/address/scopes.js";
import {
  AF_INET,
  AF_INET6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_TCLASS,
  IP_TOS,
  SO_RCVBUF,
  SOL_SOCKET,
} from "../../core/constants.js";
import { type Capabilities, unavailable } from "../../core/capabilities.js";
import { Chunks } from "../../core/driver/chunks.js";
import type {
  Closing,
  Driver,
  DriverEvents,
  DriverOptions,
  LedgerEvent,
  Sink,
} from "../../core/driver/driver.js";
import { codeOf } from "../../core/errors/errno.js";
import { OSError, fromErrno } from "../../core/errors/errors.js";
import type { Metadata } from "../../core/driver/metadata.js";
import { failure } from "../../core/send/failure.js";
import type { Membership } from "../../core/driver/membership.js";
import { type Option, type OptionValue, twinOf } from "../../core/driver/options.js";
import type { Outbound } from "../../core/driver/outbound.js";
import { payloadWithin } from "../../core/send/path-mtu.js";
import type { DriverCounts } from "../../core/ledger/ledger.js";
import { bufferSize } from "../buffers.js";
import { cannotReturn, goneText, hearsFormerPeer } from "../local-address.js";
import { membershipRefused } from "../memberships.js";
import { checkBindScope } from "../interfaces.js";
import { type Addon, type Handle, readSent } from "./addon.js";
import { adoptionRefused } from "./adoption.js";
import { fromInt32, int32, littleEndian } from "../../core/driver/bytes.js";
import { Deliveries } from "./delivery.js";
import { askForErrors, askForMetadata, forbidFragments, withProbing } from "./knowing.js";
import { layout } from "./layout.js";
import type { Names } from "./names.js";
import { News } from "./news.js";
import { SOL_UDP, UDP_GRO } from "./offload.js";
import { encodeMembership } from "./membership.js";
import { decodeOption, encodeOption, optionRefusal, optionRoom } from "./options.js";
import { describe } from "./outgoing.js";
import { checkGettable, checkSettable } from "./raw-options.js";
import { Leftovers, bindBeside } from "./reopen.js";
import { refusedMtu } from "./reports.js";
import { Settings } from "./settings.js";

const { bytes: nameBytes } = layout.name;
const { slotBytes } = layout.arrays;
const { readable, writable, failing } = layout.events;
const { countBits } = layout.receiveResult;
const countMask = (1 << countBits) - 1;
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
const runs = new Chunks(runChunkBytes, markAsUntransferable);
const singles = new Chunks(8192, markAsUntransferable);
/** Milliseconds between two tries after `ENOBUFS`, doubled each time up to the second figure. */
const firstRetryMs = 1;
const lastRetryMs = 32;
/** Destinations without room that are passed over at a time. */
const mostFull = 16;
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
  #handle: Handle;
  readonly #options: DriverOptions;
  readonly #settings: Settings;
  readonly #deliveries: Deliveries | undefined;
  #boundTo: Endpoint;
  /** The connected peer as the kernel has it, with its scope; and as it was given. */
  #peer: Endpoint | undefined;
  #peerGiven: Endpoint | undefined;
  /** The peer of an IPv6 socket that is not connected any more, where the kernel keeps its address (`#dissolve`). */
  #former: Endpoint | undefined;
  /** What the socket before this one had received, and what it had dropped. */
  #leftovers: Leftovers | undefined;
  #droppedBefore = 0;
  readonly #news: News;
  /** What is to be told once the call to this driver has returned. */
  readonly #untold: LedgerEvent[] = [];
  #wanted = 0;
  #held = false;
  readonly #calls = { send: 0, receive: 0 };
  readonly #refusals = new Map<string, number>();
  /** What was set, by the name of the option. */
  readonly #multicastInterfaces = new Map<string, OptionValue>();
  /** What was asked for unread datagrams. */
  #askedBytes = 0;
  #retries = 0;
  /** Destinations for which there was no room since the last try. */
  readonly #full = new Set<string>();
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
    this.#capabilities = capabilities;
    this.#addon = addon;
    this.#names = names;
    this.#family = family;
    this.#events = events;
    this.#boundTo = anyAddress(family);
    const { fd } = options;
    const handle = addon.open(family, (told) => this.#told(told), fd);
    if (typeof handle === "number") {
      throw fd === undefined
        ? fromErrno(-handle, { syscall: "socket" })
        : adoptionRefused(fd, -handle, family);
    }
    this.#handle = handle;
    this.#options = options;
    this.#settings = new Settings(names);
    this.#news = new News(addon, names, (event) => this.#tell(event));
    if (options.metadata && capabilities.packetInfo.available)
      this.#deliveries = new Deliveries(names, family, () => this.local().port);
    try {
      if (fd !== undefined) this.#adopt();
      this.#prepare(handle);
    } catch (error) {
      handle.close();
      throw error;
    }
  }

  /** Sets what this driver needs on a socket that has just been opened. */
  #prepare(handle: Handle): void {
    const [family, { segmentation, coalescing, icmpErrors }] = [this.#family, this.#capabilities];
    handle.segment(segmentation.available);
    // Never again: merged datagrams that wait would lose their boundaries.
    if (coalescing.available) this.#check(handle.setOption(SOL_UDP, UDP_GRO, int32(1)), "socket");
    if (icmpErrors.available) this.#check(askForErrors(handle, family), "socket");
    if (this.#options.dontFragment) this.#check(forbidFragments(handle, family), "socket");
    if (this.#deliveries) this.#check(askForMetadata(handle, family), "socket");
  }

  /** Takes over what the socket has from whoever opened it. */
  #adopt(): void {
    this.#boundTo = this.local();
    const name = Buffer.alloc(nameBytes);
    if (this.#handle.remote(name) > 0) this.#peer = this.#names.read(name);
    const size = Buffer.alloc(4);
    this.#check(this.#handle.getOption(SOL_SOCKET, SO_RCVBUF, size), "socket");
    this.#askedBytes = fromInt32(size) / 2;
  }

  get capabilities(): Capabilities {
    return this.#capabilities;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- what it throws must be a rejection
  async bind(at: Endpoint): Promise<void> {
    const name = this.#names.write(at, "bind");
    checkBindScope(at);
    this.#check(this.#handle.bind(name), "bind", at);
    this.#boundTo = at;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- what it throws must be a rejection
  async connect(to: Endpoint | null): Promise<void> {
    try {
      const former = this.#family === AF_INET6 ? (this.#peer ?? this.#former) : undefined;
      if (!to && former) this.#dissolve(former);
      else if (this.#peer) this.#disconnect();
    } catch (error) {
      throw cannotReturn(error, this.#boundTo, to);
    }
    if (!to) return;
    this.#check(this.#handle.connect(this.#names.write(to, "connect")), "connect", to);
    this.#former = undefined;
    this.#peer = peerOf(this.#remoteName(), to);
    this.#peerGiven = to;
  }

  local(): Endpoint {
    const name = Buffer.alloc(nameBytes);
    this.#check(this.#handle.local(name), "getsockname");
    return this.#names.read(name);
  }

  remote(): Endpoint {
    return this.#peer ?? this.#remoteName();
  }

  setOption(option: Option, value: OptionValue): void {
    this.#setOne(option, value);
    const twin = twinOf(option, value);
    if (twin) this.#setOne(twin.option, twin.value);
  }

  getOption(option: Option): OptionValue {
    const news = option.name === "SO_ERROR" ? this.#news.takeRefusal() : undefined;
    if (news) return news.errno;
    // The kernel forgets the name, and gives no address of an interface that was named.
    const named = this.#multicastInterfaces.get(option.name);
    if (named !== undefined) return named;
    const bytes = Buffer.alloc(optionRoom(option));
    const text = `${option.name} cannot be read now`;
    const length = this.#check(
      this.#handle.getOption(option.level, option.option, bytes),
      "getsockopt",
      undefined,
      text,
    );
    return decodeOption(option, bytes.subarray(0, length), this.#names);
  }

  setBytes(level: number, option: number, value: Uint8Array): void {
    checkSettable(level, option);
    const text = `the kernel does not take ${value.length} bytes for option ${option} at level ${level}`;
    this.#check(this.#handle.setOption(level, option, value), "setsockopt", undefined, text);
    this.#settings.set(level, option, value);
  }

  getBytes(level: number, option: number, length: number): Buffer {
    checkGettable(level, option);
    const bytes = Buffer.alloc(length);
    const text = `the kernel does not give option ${option} at level ${level} as ${length} bytes`;
    const result = this.#handle.getOption(level, option, bytes);
    return bytes.subarray(0, this.#check(result, "getsockopt", undefined, text));
  }

  membership(change: Membership): void {
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
    const news = this.#news.takeRefusal();
    if (news) this.#check(-news.errno, "recvfrom", this.#peer, news.text);
    if (this.#leftovers) {
      this.#leftovers.handOver(sink);
      this.#leftovers = undefined;
      return true;
    }
    return this.#read(sink);
  }

  wantReadable(wanted: boolean): void {
    this.#want(wanted ? this.#wanted | readable : this.#wanted & ~readable);
  }

  send(batch: Outbound): number {
    const from = batch.settled;
    const to = batch.peer(from);
    const news = this.#isForPeer(to) ? this.#news.takeRefusal() : undefined;
    if (news) {
      // As the kernel does: what waited is the error of the next call, which sends nothing.
      batch.fail(from, failure(news.code, batch.peer(from), this.#peer ?? null, { text: news.text }));
      return 1;
    }
    const count = describe(batch, from, this.#addon, this.#names, this.#peer, (to) => this.#tosTo(to));
    if (count === 0) return 1;
    this.#calls.send++;
    const result = batch.how(from)?.probe
      ? withProbing(this.#handle, this.#family, () => this.#handle.send(batch.arena, count))
      : this.#handle.send(batch.arena, count);
    this.#takeNews();
    const { sent, errno, refused, rejected } = readSent(result);
    for (let index = from + sent; index < from + sent + rejected; index++) {
      batch.fail(index, failure("EPERM", batch.peer(index), this.#peer ?? null));
    }
    if (sent > 0) {
      this.#retries = 0;
      if (refused > 0) this.#segmentationRefused(codeOf(refused));
    }
    if (sent + rejected > 0) return sent + rejected;
    const code = codeOf(errno);
    if (code === "ENOBUFS" && this.#passesOver(batch)) return this.send(batch);
    if (this.#waitsFor(code)) return 0;
    // Where the queue stays full, those behind this one wait a moment, not as long as it did.
    this.#retries = code === "ENOBUFS" ? mostRetries - 1 : 0;
    batch.fail(from, this.#refusal(code, batch, from));
    return 1;
  }

  counts(): DriverCounts {
    const bytes = Buffer.alloc(meminfoBytes);
    const known = this.#handle.getOption(SOL_SOCKET, soMeminfo, bytes) >= meminfoBytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const readBytes = view.getUint32(meminfoBuffer, littleEndian);
    return {
      droppedKernel: known ? this.#droppedBefore + view.getUint32(meminfoDrops, littleEndian) : undefined,
      receiveBuffer: known ? bufferSize("receive", this.#askedBytes, readBytes) : undefined,
      systemCalls: Object.freeze({ ...this.#calls }),
      segmentationRefused: Object.freeze(Object.fromEntries(this.#refusals)),
    };
  }

  keepAlive(held: boolean): void {
    this.#held = held;
    this.#handle.hold(held || (this.#wanted & writable) !== 0);
  }

  pathMtu(to: Endpoint): number | undefined {
    const mtu = this.#handle.pathMtu(this.#names.write(to, "pathMtu"));
    return mtu > 0 ? mtu : undefined;
  }

  close(): Closing {
    if (this.#closed) return { unread: { datagrams: 0, bytes: 0 }, untold: [] };
    this.#readErrors();
    this.#closed = true;
    this.#wanted = 0;
    clearTimeout(this.#retry);
    this.#handle.close();
    return { unread: this.#leftovers?.unread ?? { datagrams: 0, bytes: 0 }, untold: this.#untold };
  }

  /** Hands over what one system call gives; whether there may be more. */
  #read(sink: Sink): boolean {
    this.#calls.receive++;
    const received = this.#handle.receive();
    this.#takeNews();
    const result = received < 0 ? this.#check(received, "recvfrom", this.#peer, this.#news.text()) : received;
    const count = result & countMask;
    const { slab, lengths, segments, names, abouts } = this.#addon.inbox;
    const before = this.#deliveries?.drops;
    for (let index = 0; index < count; index++) {
      const source = this.#names.read(names, index * nameBytes);
      const segment = segments[index] ?? 0;
      const start = index * slotBytes;
      const end = start + (lengths[index] ?? 0);
      const metadata = this.#deliveries?.read(abouts, index);
      if (segment > 0) this.#pushRun(sink, slab, start, end, source, segment, metadata);
      else sink.push(copyOf(slab, start, end, singles), source, 0, metadata);
    }
    if (this.#deliveries && this.#deliveries.drops !== before)
      this.#tell({ type: "droppedKernel", total: this.#deliveries.drops });
    return result >> countBits > 0;
  }

  #told(events: number): void {
    if (this.#closed) return;
    if ((events & failing) !== 0) this.#readErrors();
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

  #change(change: Membership): number {
    const { level, option, value } = encodeMembership(change, this.#names);
    return this.#handle.setOption(level, option, value);
  }

  /** There may be room again. */
  #resume(): void {
    this.#want(this.#wanted & ~writable);
    this.#events.settled(0);
  }

  /** The queue of one device may be full, and that of another not: whether there are datagrams to others to go first. */
  #passesOver(batch: Outbound): boolean {
    const peer = batch.peer(batch.settled) ?? this.#peer;
    if (!peer || this.#full.size === mostFull || this.#full.has(String(peer))) return false;
    this.#full.add(String(peer));
    return batch.postpone(this.#peer ?? null);
  }

  /** Whether a send that gave `code` is to be tried again, which is seen to. */
  #waitsFor(code: string): boolean {
    if (code === "EAGAIN") {
      this.#want(this.#wanted | writable);
      return true;
    }
    if (code !== "ENOBUFS" || this.#retries === mostRetries) return false;
    this.#full.clear();
    // The queue of the device is full. The socket is writable all the same, so there is no event to wait for.
    this.#retry = setTimeout(
      () => this.#resume(),
      Math.min(firstRetryMs * 2 ** this.#retries++, lastRetryMs),
    );
    return true;
  }

  /** Reads what waits in the error queue. */
  #readErrors(): void {
    this.#handle.errors();
    this.#takeNews();
  }

  /** What ICMP said of the peer is the error of the next call, also where none waits: it is to look. */
  #takeNews(): void {
    if (!this.#news.take(this.#peer)) return;
    queueMicrotask(() => {
      if (!this.#closed) this.#events.readable();
    });
  }

  #tell(event: LedgerEvent): void {
    if (this.#untold.push(event) > 1) return;
    queueMicrotask(() => {
      // What a listener leaves untold by closing the socket, `close` gives.
      for (let event = this.#next(); event; event = this.#next()) this.#events.ledger(event);
    });
  }

  /** The TOS of datagrams to a peer, which over IPv4 is another option than over IPv6, also on an IPv6 socket. */
  #tosTo(to: Endpoint | null): number {
    const peer = to ?? this.#peer;
    const ipv4 = peer ? isOverIPv4(peer) : this.#family === AF_INET;
    const value = Buffer.alloc(4);
    this.#handle.getOption(ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_TOS : IPV6_TCLASS, value);
    return value.readUInt8(littleEndian ? 0 : 3);
  }

  #setOne(option: Option, value: OptionValue): void {
    const bytes = encodeOption(option, value, this.#names);
    const result = this.#handle.setOption(option.level, option.option, bytes);
    if (result < 0) throw optionRefusal(option, value, codeOf(-result));
    this.#settings.set(option.level, option.option, bytes);
    if (option.kind === "interface" && option.networkIndex !== true)
      this.#multicastInterfaces.set(option.name, value);
    if (option.name.startsWith("SO_RCVBUF")) this.#askedBytes = value as number;
  }

  #remoteName(): Endpoint {
    const name = Buffer.alloc(nameBytes);
    this.#check(this.#handle.remote(name), "getpeername");
    return this.#names.read(name);
  }

  /** Whether a datagram goes to the connected peer, however that is written: `0.0.0.0` is this host. */
  #isForPeer(to: Endpoint | null): boolean {
    return !to || !this.#peer || to.equals(this.#peer) || this.#peerGiven?.equals(to) === true;
  }

  #next(): LedgerEvent | undefined {
    return this.#closed ? undefined : this.#untold.shift();
  }

  /** The error of a datagram that the kernel refused with `code`. */
  #refusal(code: string, batch: Outbound, index: number): OSError {
    const [to, peer] = [batch.peer(index), this.#peer ?? null];
    const destination = to ?? peer;
    const source = batch.how(index)?.source;
    if (code === "EMSGSIZE" && destination) {
      const mtu = refusedMtu(this.#addon) ?? this.pathMtu(destination);
      if (mtu === undefined) return failure(code, to, peer);
      const limit = payloadWithin(mtu, destination);
      const text = `message of ${batch.length(index)} bytes is over the limit of ${limit} of a path MTU of ${mtu}`;
      return failure(code, to, peer, { limit, text });
    }
    const by = batch.how(index)?.interface ?? destination?.scope;
    if (code === "EINVAL" && by !== undefined && !source)
      return failure(code, to, peer, { text: boundElsewhereText(by) });
    if (code === "ENODEV" && by !== undefined) return failure(code, to, peer, { text: noInterfaceText(by) });
    // Of a source that is not this host's, IPv4 and IPv6 say different things.
    if (!source || (code !== "EINVAL" && code !== "ENETUNREACH")) {
      const text = this.#news.text() ?? goneText(code, this.local(), this.#boundTo);
      return failure(code, to, peer, { text });
    }
    return failure(code, to, peer, { text: `${source.host} may be no address of this host` });
  }

  /** Copies a merged run out of the slab before it is read into again, in pieces that fit a chunk. */
  #pushRun(
    sink: Sink,
    slab: Buffer,
    start: number,
    end: number,
    source: Endpoint,
    segment: number,
    metadata: Metadata | undefined,
  ): void {
    const most = segment > runChunkBytes ? segment : runChunkBytes - (runChunkBytes % segment);
    for (let from = start; from < end; from += most) {
      const how = from === start ? metadata : metadata?.following;
      sink.push(copyOf(slab, from, Math.min(from + most, end), runs), source, segment, how);
    }
  }

  /** A segmented send was refused, and its datagrams went one by one. */
  #segmentationRefused(code: string): void {
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1);
    if (code !== "EINVAL") return;
    const reason = "the kernel refused a segmented send of this socket: EINVAL";
    this.#capabilities = Object.freeze({ ...this.#capabilities, segmentation: unavailable(reason) });
  }

  /**
   * Linux keeps the address of the peer of a dissolved IPv6 socket, which hears that host alone for as long as it is open
   * (`__udp_disconnect`, net/ipv4/udp.c, leaves `sk_v6_daddr`): another socket takes its place.
   */
  #dissolve(former: Endpoint): void {
    const obstacle = this.#reopen(former);
    if (obstacle === undefined) return;
    if (this.#peer) this.#disconnect();
    queueMicrotask(() => {
      if (!this.#closed) this.#events.warning(hearsFormerPeer(former, obstacle));
    });
  }

  /** Gives why no other socket can take the place of this one; `undefined` where one did. */
  #reopen(former: Endpoint): string | undefined {
    if (this.#options.fd !== undefined) return "the descriptor is of the program that opened it";
    const [old, { port }] = [this.#handle, this.local()];
    const fresh = this.#addon.open(this.#family, (told) => this.#told(told));
    if (typeof fresh === "number") return `no other socket can be opened: ${codeOf(-fresh)}`;
    const obstacle = this.#replaceBy(fresh, port);
    if (obstacle !== undefined) {
      fresh.close();
      return obstacle;
    }
    this.#silence(old, former);
    const leftovers = this.#leftovers ?? new Leftovers();
    leftovers.drain((sink) => this.#read(sink));
    this.#readErrors();
    this.#droppedBefore = this.counts().droppedKernel ?? this.#droppedBefore;
    this.#deliveries?.startAgain(this.#droppedBefore);
    old.close();
    this.#handle = fresh;
    this.#news.forgetPeer();
    this.#peer = this.#former = undefined;
    fresh.hold(this.#held || (this.#wanted & writable) !== 0);
    if (this.#wanted !== 0) this.#check(fresh.poll(this.#wanted), "poll");
    if (leftovers.empty) return undefined;
    this.#leftovers = leftovers;
    queueMicrotask(() => {
      if (!this.#closed) this.#events.readable();
    });
    return undefined;
  }

  /** What arrives from now on is for the new socket: the old one hears a port of the peer's that sends nothing. */
  #silence(old: Handle, former: Endpoint): void {
    try {
      old.connect(this.#names.write(former.withPort(former.port === 1 ? 2 : 1) as Endpoint, "connect"));
    } catch (error) {
      // The interface of a scope is gone, and nothing comes from there.
      if (!(error instanceof OSError)) throw error;
    }
  }

  /** Makes another socket like this one, at the same address. Gives why it cannot. */
  #replaceBy(fresh: Handle, port: number): string | undefined {
    try {
      this.#prepare(fresh);
      const at = this.#boundTo.withPort(port) as Endpoint;
      const obstacle = this.#settings.replay(fresh);
      if (obstacle !== undefined) return obstacle;
      this.#check(bindBeside(this.#handle, fresh, this.#names.write(at, "bind")), "bind", at);
      return undefined;
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      return error.message;
    }
  }

  /** The kernel takes the port away from a socket that had not named it (`__udp_disconnect`, net/ipv4/udp.c). */
  #disconnect(): void {
    const { port } = this.local();
    this.#check(this.#handle.connect(null), "connect");
    // What ICMP said of this peer must not fail a call about another.
    this.#handle.errors();
    this.#news.take(this.#peer);
    this.#news.forgetPeer();
    if (this.#family === AF_INET6) this.#former = this.#peer;
    this.#peer = undefined;
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
