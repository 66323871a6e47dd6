import { Buffer } from "node:buffer";

import { type Endpoint, type Family, anyAddress } from "../../core/address.js";
import { sharedAddress } from "../../core/address-cache.js";
import type { Ancillary } from "../../core/ancillary.js";
import type { Capabilities } from "../../core/capabilities.js";
import { AF_INET } from "../../core/constants.js";
import type { Closing, Driver, DriverEvents, DriverOptions, LedgerEvent, Sink } from "../../core/driver.js";
import { OSError } from "../../core/errors.js";
import { failure } from "../../core/failure.js";
import { icmpKind } from "../../core/icmp.js";
import type { Option, OptionValue } from "../../core/options.js";
import type { Outbound } from "../../core/outbound.js";
import { payloadWithin } from "../../core/path-mtu.js";
import { copyTo } from "../../core/payload.js";
import type { DriverCounts } from "../../core/stats.js";
import { forSocket, isGroup, isLoopback, limitedBroadcast, onTheWire } from "../node/addresses.js";
import type { Fabric } from "../node/fabric.js";
import type { Interface } from "../node/node.js";
import type { IcmpError, Packet, UdpDatagram } from "../packet/packet.js";
import { Unread } from "./delivery.js";
import { codeOfIcmp } from "./icmp-codes.js";
import type { Ip, Way } from "./ip.js";
import { SimOptions } from "./options.js";
import type { BoundSocket } from "./ports.js";

/** Datagrams that one receive hands over at most. */
const receiveBatch = 64;
/** Places at the front of the queue that may stay empty before it is made shorter. */
const compactAfter = 1024;

/** What it takes until a program is woken that finds something there already, in nanoseconds: else polling takes no time. */
const wakeNs = 50_000;

/** Datagrams that one socket sends at an instant before it rests, and for how long, in nanoseconds. */
const instantDatagrams = 1024;
const restNs = 100_000;

/** Calls to drivers that are under way: over loopback, what they send arrives within them. */
let calls = 0;

/** What a driver is opened with. */
export interface SimParts {
  readonly fabric: Fabric;
  readonly ip: Ip;
  readonly rank: number;
  readonly capabilities: Capabilities;
  readonly family: Family;
  readonly options: DriverOptions;
  readonly events: DriverEvents;
  /** The socket is closed. */
  readonly closed: (driver: SimDriver) => void;
}

/** How datagrams leave that name nothing but a destination. */
interface Route {
  readonly to: Endpoint;
  readonly way: Way;
  readonly source: string;
  /** Of the network, whose changes make it void. */
  readonly generation: number;
}

/** Why a datagram does not leave. */
interface Refusal {
  readonly code: string;
  readonly text?: string;
}

/** A socket of a simulated host: what Linux does, on the packets of the network in memory. */
export class SimDriver implements Driver, BoundSocket {
  readonly batches = true;
  readonly capabilities: Capabilities;
  readonly options: SimOptions;
  /** 0 until it is bound. */
  port = 0;
  readonly #parts: SimParts;
  readonly #family: Family;
  readonly #ip: Ip;
  readonly #events: DriverEvents;
  /** As it was bound, in the spelling of its family; then as a connect chose it. */
  #boundTo: Endpoint;
  #local: Endpoint;
  #peer: Endpoint | null = null;
  /** The peer as it is in packets. */
  #peerHost = "";
  /** Of the last datagram; void whenever a setting changes. */
  #route: Route | undefined;
  #refusal: OSError | undefined;
  /** What lies unread, from `#first` to `#end`. */
  readonly #queue: (Unread | undefined)[] = [];
  #first = 0;
  #end = 0;
  #queuedBytes = 0;
  #dropped = 0;
  #toldDropped = 0;
  /** Dropped since the last datagram that was let in. */
  #lostBefore = 0;
  readonly #untold: LedgerEvent[] = [];
  #lastSource: Endpoint | undefined;
  #wanted = false;
  #held = false;
  #soon = false;
  /** When it sent last, and how many then. */
  #instant = -1;
  #sentThen = 0;
  #order = 0;
  #closed = false;

  constructor(parts: SimParts) {
    this.#parts = parts;
    this.capabilities = parts.capabilities;
    this.#family = parts.family;
    this.#ip = parts.ip;
    this.#events = parts.events;
    this.#boundTo = this.#local = anyAddress(parts.family);
    this.options = new SimOptions(parts.family, parts.options.dontFragment);
  }

  /** For people: who waits for what; `undefined` where nobody does. */
  get waiting(): string | undefined {
    if (!this.#held || this.#closed) return undefined;
    return this.port === 0 ? "a datagram on a socket that is not bound" : `a datagram on ${this.#local}`;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- what it throws must be a rejection
  async bind(at: Endpoint): Promise<void> {
    const about = { syscall: "bind", address: at.host, port: at.port };
    if (this.port !== 0) throw new OSError("EINVAL", about);
    const host = onTheWire(at.host);
    if (at.scope !== undefined && !this.#ip.interface(at.scope)) throw new OSError("ENODEV", about);
    if (!this.#mayBind(host)) throw new OSError("EADDRNOTAVAIL", about);
    this.#take(host, at.port, about);
    this.#boundTo = this.#local = at.withPort(this.port) as Endpoint;
    this.#route = undefined;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- what it throws must be a rejection
  async connect(to: Endpoint | null): Promise<void> {
    this.#route = undefined;
    if (this.#peer) {
      this.#peer = null;
      this.#peerHost = "";
      this.#refusal = undefined;
      this.#local = this.#boundTo;
    }
    if (!to) return;
    const about = { syscall: "connect", address: to.host, port: to.port };
    const way = this.#way(to, undefined);
    if (typeof way === "string") throw new OSError(way, about);
    if (way.kind === "broadcast" && !this.options.broadcast) throw new OSError("EACCES", about);
    this.#bindAtNeed();
    const host = forSocket(way.destination, this.#family);
    this.#peer = sharedAddress(host, to.port) as Endpoint;
    this.#peerHost = way.destination;
    if (isAny(this.#boundTo.host)) {
      this.#local = sharedAddress(forSocket(way.source, this.#family), this.port) as Endpoint;
    }
  }

  local(): Endpoint {
    return this.#local;
  }

  remote(): Endpoint {
    if (!this.#peer) throw new OSError("ENOTCONN", { syscall: "getpeername" });
    return this.#peer;
  }

  setOption(option: Option, value: OptionValue): void {
    const { name, kind } = option;
    const about = { syscall: "setsockopt" };
    if (name === "IPV6_V6ONLY" && this.port !== 0) throw new OSError("EINVAL", about);
    if (kind === "interface" && !isAny(String(value)) && !this.#ip.interface(String(value))) {
      throw new OSError("ENODEV", { ...about, text: `${name} cannot be ${JSON.stringify(value)} here` });
    }
    if (kind === "device" && value !== "" && !this.#ip.interfaces.some((each) => each.name === value)) {
      throw new OSError("ENODEV", about);
    }
    this.options.set(option, value);
    this.#route = undefined;
  }

  getOption(option: Option): OptionValue {
    if (option.name === "SO_ERROR") {
      const errno = this.#refusal?.errno ?? 0;
      this.#refusal = undefined;
      return errno;
    }
    if (option.name !== "IP_MTU" && option.name !== "IPV6_MTU") return this.options.get(option);
    const mtu = this.#peer ? this.pathMtu(this.#peer) : undefined;
    if (mtu === undefined) throw new OSError("ENOTCONN", { syscall: "getsockopt" });
    return mtu;
  }

  membership(change: "add" | "drop", group: Endpoint, at: string | undefined): void {
    const syscall = change === "add" ? "addMembership" : "dropMembership";
    const about = { syscall, address: group.host };
    const { groups, usual } = this.#ip;
    const given = at ?? group.scope;
    const by = given === undefined ? usual : this.#ip.interface(given);
    if (!by) throw new OSError("ENODEV", about);
    const host = onTheWire(group.host);
    if (change === "add" && !groups.join(this, host, by)) throw new OSError("EADDRINUSE", about);
    if (change === "drop" && !groups.leave(this, host, by)) throw new OSError("EADDRNOTAVAIL", about);
  }

  receive(sink: Sink): boolean {
    const refusal = this.#refusal;
    if (refusal) {
      this.#refusal = undefined;
      throw refusal;
    }
    const { metadata } = this.#parts.options;
    const end = Math.min(this.#end, this.#first + receiveBatch);
    while (this.#first < end) {
      const unread = this.#queue[this.#first] as Unread;
      this.#queue[this.#first++] = undefined;
      this.#queuedBytes -= trueSize(unread.data.length);
      // Its own: a duplicate, another member of the group and the trace have the same bytes.
      const data = Buffer.allocUnsafe(unread.data.length);
      copyTo(data, unread.data, 0);
      sink.push(data, unread.source, 0, metadata ? unread : undefined);
      if (metadata && unread.lostBefore > 0) this.#tellDropped(unread.lostBefore);
    }
    if (this.#first === this.#end) this.#first = this.#end = 0;
    else if (this.#first >= compactAfter) {
      this.#queue.splice(0, this.#first);
      this.#end -= this.#first;
      this.#first = 0;
    }
    return this.#end > 0;
  }

  wantReadable(on: boolean): void {
    this.#wanted = on;
    if (on && (this.#refusal || this.#end > 0)) this.#tellSoon();
  }

  send(batch: Outbound): number {
    const from = batch.settled;
    const first = batch.peer(from);
    if (this.#refusal && (!first || !this.#peer || first.equals(this.#peer))) {
      // As the kernel does: what waited is the error of the next call, which sends nothing.
      batch.fail(from, failure(this.#refusal.code, first, this.#peer));
      this.#refusal = undefined;
      return 1;
    }
    if (this.#rests(batch.count - from)) return 0;
    calls++;
    try {
      const payloads = Buffer.allocUnsafe(batch.bytes);
      // Of one alone, the batch has a view already.
      copyTo(payloads, batch.count === 1 ? batch.view(0) : batch.arena.subarray(0, batch.bytes), 0);
      for (let index = from; index < batch.count; index++) {
        const error = this.#send(batch, index, payloads);
        if (error) batch.fail(index, error);
      }
    } finally {
      calls--;
    }
    return batch.count - from;
  }

  pathMtu(to: Endpoint): number | undefined {
    const way = this.#way(to, undefined);
    return typeof way === "string" ? undefined : this.#ip.mtu(way);
  }

  counts(): DriverCounts {
    const { askedBytes } = this.options;
    return {
      droppedKernel: this.#dropped,
      systemCalls: undefined,
      segmentationRefused: undefined,
      receiveBuffer: { askedBytes, givenBytes: askedBytes },
    };
  }

  hold(on: boolean): void {
    this.#held = on;
  }

  close(): Closing {
    const unread = { datagrams: 0, bytes: 0 };
    if (this.#closed) return { unread, untold: [] };
    this.#closed = true;
    this.#wanted = false;
    this.#queue.length = this.#first = this.#end = 0;
    if (this.port !== 0) this.#ip.ports.remove(this, this.port);
    this.#ip.groups.leaveAll(this);
    this.#parts.closed(this);
    return { unread, untold: this.#untold };
  }

  score({ version, source, destination }: Packet, sourcePort: number, at: Interface): number {
    const { device } = this.options;
    if (device !== "" && device !== at.name) return -1;
    const bound = onTheWire(this.#boundTo.host);
    const any = isAny(bound);
    if (!this.hears(version)) return -1;
    if (!any && bound !== destination) return -1;
    if (!this.#peer) return any ? 0 : 1;
    if (this.#peer.port !== sourcePort || this.#peerHost !== source) return -1;
    return any ? 2 : 3;
  }

  hears(version: 4 | 6, host: string = onTheWire(this.#boundTo.host)): boolean {
    if (this.#family === AF_INET) return version === 4;
    if (version === 6) return host.includes(":");
    return host === "::" ? !this.options.v6only : !host.includes(":");
  }

  sharesWith(other: BoundSocket, host: string): boolean {
    const own = onTheWire(this.#boundTo.host);
    const bothHear = (this.hears(4) && other.hears(4, host)) || (this.hears(6) && other.hears(6, host));
    if (!bothHear || (own !== host && !isAny(own) && !isAny(host))) return true;
    return (
      (this.options.reuseAddress && other.options.reuseAddress) ||
      (this.options.reusePort && other.options.reusePort)
    );
  }

  arrive(
    packet: Packet,
    { payload, sourcePort }: UdpDatagram,
    time: number,
    at: Interface,
    toAll: boolean,
  ): boolean | undefined {
    const cost = trueSize(payload.length);
    // One always has room, however long: `__udp_enqueue_schedule_skb`, net/ipv4/udp.c.
    if (this.#queuedBytes > 0 && this.#queuedBytes + cost > this.options.receiveBytes) {
      this.#dropped++;
      this.#lostBefore++;
      return undefined;
    }
    this.#queuedBytes += cost;
    const from = forSocket(packet.source, this.#family);
    if (this.#lastSource?.port !== sourcePort || this.#lastSource.host !== from) {
      this.#lastSource = sharedAddress(from, sourcePort) as Endpoint;
    }
    const host = forSocket(packet.destination, this.#family);
    const came = { host, port: this.port, interface: at.name, toAll };
    const { ttl, tos } = packet;
    this.#queue[this.#end++] = new Unread(payload, this.#lastSource, came, ttl, tos, time, this.#lostBefore);
    this.#lostBefore = 0;
    return this.#tellReadable();
  }

  sentFrom({ version, source, destination, content }: Packet): boolean {
    if (!this.hears(version)) return false;
    const bound = onTheWire(this.#boundTo.host);
    if (!isAny(bound) && bound !== source && !this.#ip.isOwn(source)) return false;
    const port = content.protocol === "udp" ? content.destinationPort : 0;
    return !this.#peer || (this.#peerHost === destination && this.#peer.port === port) || !isAny(bound);
  }

  hear({ type, code, mtu, about }: IcmpError, port: number, from: string): void {
    const destination = sharedAddress(forSocket(about.destination, this.#family), port) as Endpoint;
    const said = forSocket(from, this.#family);
    if (mtu > 0) {
      this.#tell({ type: "tooBig", destination, from: said });
      return;
    }
    const name = codeOfIcmp(about.version, type, code);
    const kind = icmpKind(about.version, type, code);
    this.#tell({ type: "unreachable", report: { destination, code: name, kind, from: said } });
    if (!this.#peer?.equals(destination)) return;
    const { host: address, port: at } = this.#peer;
    const text = name === "ECONNREFUSED" ? undefined : `${kind}, from ${said}`;
    this.#refusal = new OSError(name, { syscall: "recvfrom", address, port: at, text });
    this.#tellReadable();
  }

  /** @param payloads those of the batch, as they lie in its arena. */
  #send(batch: Outbound, index: number, payloads: Buffer): OSError | undefined {
    const peer = batch.peer(index);
    const to = peer ?? this.#peer;
    if (!to) return failure("EDESTADDRREQ", null, null);
    const how = batch.how(index);
    const route = this.#routeTo(to, how);
    if ("code" in route) return failure(route.code, peer, this.#peer, { text: route.text });
    const { way, source } = route;
    const start = batch.starts[index] as number;
    const payload = batch.count === 1 ? payloads : payloads.subarray(start, start + batch.length(index));
    const code = this.#ip.send(this, way, to.port, payload, source, how);
    if (code === undefined) return undefined;
    if (code !== "EMSGSIZE") return failure(code, peer, this.#peer);
    const mtu = this.#ip.mtu(way, how?.probe);
    const limit = payloadWithin(mtu, to);
    const text = `message of ${payload.length} bytes is over the limit of ${limit} of a path MTU of ${mtu}`;
    return failure(code, peer, this.#peer, { limit, text });
  }

  #routeTo(to: Endpoint, how: Ancillary | undefined): Route | Refusal {
    const { generation } = this.#parts.fabric;
    const last = this.#route;
    if (how === undefined && last?.to === to && last.generation === generation) return last;
    const way = this.#way(to, how);
    if (typeof way === "string") return { code: way };
    if (way.kind === "broadcast" && !this.options.broadcast) return { code: "EACCES" };
    const source = how?.source ? onTheWire(how.source.host) : this.#sourceOf(way);
    if (how?.source && !this.#ip.isOwn(source)) {
      const code = way.version === 4 ? "ENETUNREACH" : "EINVAL";
      return { code, text: `${how.source.host} may be no address of this host` };
    }
    if (way.by !== this.#ip.lo && isLoopback(source)) return { code: "EINVAL" };
    try {
      this.#bindAtNeed();
    } catch (error) {
      return { code: (error as OSError).code };
    }
    const route = { to, way, source, generation };
    if (how === undefined) this.#route = route;
    return route;
  }

  #way(to: Endpoint, how: Ancillary | undefined): Way | string {
    const host = onTheWire(to.host);
    const { device, multicastInterface } = this.options;
    let by = how?.interface ?? to.scope ?? (device === "" ? undefined : device);
    if (by === undefined && multicastInterface !== undefined && isGroup(host) && host !== limitedBroadcast)
      by = multicastInterface;
    if (by === undefined || isAny(by)) return this.#ip.way(host);
    const found = this.#ip.interface(by);
    return found ? this.#ip.way(host, found) : "ENODEV";
  }

  #sourceOf(way: Way): string {
    const bound = onTheWire(this.#local.host);
    const own = isAny(bound) || isGroup(bound) || this.#ip.isBroadcast(bound) ? way.source : bound;
    // A connected socket that sends elsewhere does so from where the way there begins.
    return this.#peer && isAny(this.#boundTo.host) && way.destination !== this.#peerHost ? way.source : own;
  }

  #mayBind(host: string): boolean {
    return (
      this.options.freebind ||
      isAny(host) ||
      this.#ip.isOwn(host) ||
      isGroup(host) ||
      this.#ip.isBroadcast(host)
    );
  }

  #bindAtNeed(): void {
    if (this.port !== 0) return;
    const about = { syscall: "bind" };
    this.#take(this.#boundTo.host, 0, about);
    this.#boundTo = this.#local = this.#boundTo.withPort(this.port) as Endpoint;
  }

  #take(host: string, asked: number, about: { syscall: string }): void {
    const { ports } = this.#ip;
    const port = asked === 0 ? ports.free() : asked;
    if (port === undefined || !ports.allows(this, host, port)) throw new OSError("EADDRINUSE", about);
    this.port = port;
    ports.add(this, port);
  }

  /** Gives whether the program was told. */
  #tellReadable(): boolean {
    if (!this.#wanted || this.#closed) return false;
    if (calls > 0) {
      this.#tellSoon();
      return false;
    }
    this.#events.readable();
    return true;
  }

  /**
   * Whether it has sent so much at this instant that it waits for the next: where sending takes no time, a program that
   * awaits each send would never leave the microtasks.
   */
  #rests(more: number): boolean {
    const { timeline } = this.#parts.fabric;
    const { now } = timeline;
    if (this.#instant !== now) {
      this.#instant = now;
      this.#sentThen = 0;
    }
    if (this.#sentThen < instantDatagrams) {
      this.#sentThen += more;
      return false;
    }
    const happen = (): boolean => {
      if (!this.#closed) this.#events.settled(0);
      return true;
    };
    timeline.schedule({ time: now + restNs, rank: this.#parts.rank, order: this.#order++, happen });
    return true;
  }

  /** Not from inside the call that asks for it. */
  #tellSoon(): void {
    if (this.#soon) return;
    this.#soon = true;
    const { timeline } = this.#parts.fabric;
    timeline.schedule({
      time: timeline.now + wakeNs,
      rank: this.#parts.rank,
      order: this.#order++,
      happen: () => {
        this.#soon = false;
        return this.#tellReadable();
      },
    });
  }

  #tellDropped(more: number): void {
    this.#toldDropped += more;
    this.#tell({ type: "droppedKernel", total: this.#toldDropped });
  }

  /** Not from inside a call. What is untold when the socket is closed, `close` gives. */
  #tell(event: LedgerEvent): void {
    if (this.#untold.push(event) > 1) return;
    queueMicrotask(() => {
      while (!this.#closed && this.#untold.length > 0)
        this.#events.ledger(this.#untold.shift() as LedgerEvent);
    });
  }
}

/** Bytes of the receive buffer that a datagram takes, about as Linux counts them (`skb->truesize`). */
function trueSize(bytes: number): number {
  return 256 + Math.max(512, 1 << (32 - Math.clz32(bytes + 383)));
}

function isAny(host: string): boolean {
  return host === "0.0.0.0" || host === "::" || host === "";
}
