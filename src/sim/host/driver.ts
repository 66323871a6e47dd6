import { Buffer } from "node:buffer";
import { markAsUntransferable } from "node:worker_threads";

import { type Endpoint, type Family, isWildcard } from "../../core/address/address.js";
import { scopeConflict } from "../../core/address/scopes.js";
import { AF_INET } from "../../core/constants.js";
import type { Capabilities } from "../../core/capabilities.js";
import { Chunks } from "../../core/driver/chunks.js";
import type { CloseResult, Driver, DriverEvents, DriverOptions, Sink } from "../../core/driver/driver.js";
import { OSError } from "../../core/errors/errors.js";
import { failure } from "../../core/send/failure.js";
import { icmpKind } from "../../core/driver/icmp.js";
import { type MembershipChange, membershipError } from "../../core/driver/membership.js";
import type { Option, OptionValue } from "../../core/driver/options.js";
import type { Outbound } from "../../core/driver/outbound.js";
import { payloadWithin } from "../../core/send/path-mtu-cache.js";
import { copyTo } from "../../core/driver/payload.js";
import type { DriverCounts } from "../../core/ledger/ledger.js";
import { forSocket } from "../node/addresses.js";
import type { NetworkContext } from "../node/context.js";
import type { Interface } from "../node/node.js";
import type { IcmpError, Packet, UdpDatagram } from "../packet/packet.js";
import { Binding } from "./binding.js";
import type { QueuedDatagram } from "./queued-datagram.js";
import { membershipLimits } from "./groups.js";
import { codeOfIcmp } from "./icmp-codes.js";
import type { Ip } from "./ip.js";
import { Notifier } from "./notifier.js";
import { SimOptions } from "./options.js";
import type { BoundSocket } from "./ports.js";
import { ReceiveBuffer } from "./receive-buffer.js";

/** Memory for received data. It is not from the pool of Node.js, whose size depends on the version. */
const receivedChunks = new Chunks(8192, markAsUntransferable);
/** The largest number of datagrams that one `receive()` delivers. */
const receiveBatch = 64;

/** What a driver is opened with. */
export interface SimDriverConfig {
  readonly context: NetworkContext;
  readonly ip: Ip;
  readonly rank: number;
  readonly capabilities: Capabilities;
  readonly family: Family;
  readonly options: DriverOptions;
  readonly events: DriverEvents;
  /** Called when the socket is closed. */
  readonly closed: (driver: SimDriver) => void;
}

/** The driver of a socket of a simulated host. It behaves like Linux, on the packets of the network in memory. */
export class SimDriver implements Driver, BoundSocket {
  readonly batches = true;
  readonly capabilities: Capabilities;
  readonly binding: Binding;
  readonly #config: SimDriverConfig;
  readonly #family: Family;
  readonly #ip: Ip;
  readonly #options: SimOptions;
  readonly #notifier: Notifier;
  readonly #receiveBuffer: ReceiveBuffer;
  /** The error that the next call will throw (`SO_ERROR`). */
  #pendingError: OSError | undefined;
  #keepsAlive = false;
  #crashed = false;
  #closed = false;

  constructor(config: SimDriverConfig) {
    this.#config = config;
    this.capabilities = config.capabilities;
    this.#family = config.family;
    this.#ip = config.ip;
    this.#options = new SimOptions(config.family, config.options.dontFragment);
    this.#receiveBuffer = new ReceiveBuffer(config.family);
    const { context, ip, family, events, rank } = config;
    this.#notifier = new Notifier({ events, scheduler: context.scheduler, rank });
    this.binding = new Binding(this, { context, ip, family, options: this.#options });
  }

  /** What the socket waits for, for error messages; `undefined` if it does not wait. */
  get waiting(): string | undefined {
    if (!this.#keepsAlive || this.#closed) return undefined;
    const { port, local } = this.binding;
    return port === 0 ? "a datagram on a socket that is not bound" : `a datagram on ${local}`;
  }

  bind(at: Endpoint): undefined {
    // A call from before a crash may arrive here after it. It must not take a port of the restarted host.
    if (this.#crashed) throw this.#crashError("bind", at);
    this.binding.bind(at);
  }

  connect(to: Endpoint | null): undefined {
    if (this.#crashed) throw this.#crashError("connect", to);
    if (this.binding.peer) this.#pendingError = undefined;
    this.binding.connect(to);
  }

  local(): Endpoint {
    return this.binding.local;
  }

  remote(): Endpoint {
    const { peer } = this.binding;
    if (!peer) throw new OSError("ENOTCONN", { syscall: "getpeername" });
    return peer;
  }

  setOption(option: Option, value: OptionValue): void {
    const { name, kind } = option;
    const about = { syscall: "setsockopt" };
    if (option.kernelOnly === true) throw notSimulated("setsockopt", name);
    if (name === "IPV6_V6ONLY" && this.binding.port !== 0) throw new OSError("EINVAL", about);
    if (
      kind === "interface" &&
      option.networkIndex !== true &&
      !isWildcard(String(value)) &&
      !this.#ip.routing.interface(String(value))
    ) {
      throw new OSError("ENODEV", { ...about, text: `${name} cannot be ${JSON.stringify(value)} here` });
    }
    if (
      kind === "device" &&
      value !== "" &&
      !this.#ip.routing.interfaces.some((each) => each.name === value)
    ) {
      throw new OSError("ENODEV", about);
    }
    this.#options.set(
      option,
      option.networkIndex === true ? this.#interfaceName(String(value), name) : value,
    );
    this.binding.forgetRoute();
  }

  getOption(option: Option): OptionValue {
    if (option.kernelOnly === true) throw notSimulated("getsockopt", option.name);
    if (option.name === "SO_ERROR") {
      const errno = this.#pendingError?.errno ?? 0;
      this.#pendingError = undefined;
      return errno;
    }
    if (option.name !== "IP_MTU" && option.name !== "IPV6_MTU") return this.#options.get(option);
    const { peer } = this.binding;
    const mtu = peer ? this.pathMtu(peer) : undefined;
    if (mtu === undefined) throw new OSError("ENOTCONN", { syscall: "getsockopt" });
    return mtu;
  }

  setBytes(level: number, option: number): void {
    throw notSimulated("setsockopt", `option ${option} at level ${level}`);
  }

  getBytes(level: number, option: number): Buffer {
    throw notSimulated("getsockopt", `option ${option} at level ${level}`);
  }

  changeMembership(change: MembershipChange): void {
    const { groups, routing } = this.#ip;
    const { call, interface: at, group } = change;
    const given = at ?? group.scope;
    const by = given === undefined ? routing.defaultInterface : this.#ip.routing.interface(given);
    const scoped = group.scope === undefined ? by : this.#ip.routing.interface(group.scope);
    if (by && scoped && by !== scoped) throw scopeConflict(call, group, `the call names ${at}`);
    const refused = by && scoped ? groups.change(this, change, by) : "ENODEV";
    if (refused !== undefined)
      throw membershipError(refused, change, membershipLimits(group.family === AF_INET ? 4 : 6));
  }

  receive(sink: Sink): boolean {
    const refusal = this.#pendingError;
    if (refusal) {
      this.#pendingError = undefined;
      throw refusal;
    }
    const { metadata } = this.#config.options;
    for (let left = Math.min(this.#receiveBuffer.size, receiveBatch); left > 0; left--) {
      const unread = this.#receiveBuffer.take() as QueuedDatagram;
      // A copy, because a duplicate, other members of the group and the trace share the bytes.
      const data = receivedChunks.take(unread.data.length);
      copyTo(data, unread.data, 0);
      sink.push(data, unread.source, 0, metadata ? unread : undefined);
      if (metadata && unread.lostBefore > 0) this.#notifier.reportDropped(unread.lostBefore);
    }
    return this.#receiveBuffer.size > 0;
  }

  wantReadable(on: boolean): void {
    this.#notifier.wantReadable(on, this.#pendingError !== undefined || this.#receiveBuffer.size > 0);
  }

  send(batch: Outbound): number {
    const from = batch.settled;
    const first = batch.peer(from);
    const { peer } = this.binding;
    if (this.#pendingError && this.binding.isForPeer(first)) {
      // As in the kernel: the pending error fails the next call, which sends nothing.
      batch.fail(from, failure(this.#pendingError.code, first, peer));
      this.#pendingError = undefined;
      return 1;
    }
    if (!this.#crashed && this.#notifier.mustPause(batch.count - from)) return 0;
    Notifier.beginCall();
    try {
      const payloads = Buffer.allocUnsafe(batch.bytes);
      // A batch of one has a view already.
      copyTo(payloads, batch.count === 1 ? batch.view(0) : batch.arena.subarray(0, batch.bytes), 0);
      for (let index = from; index < batch.count; index++) {
        const error = this.#send(batch, index, payloads);
        if (error) batch.fail(index, error);
      }
    } finally {
      Notifier.endCall();
    }
    return batch.count - from;
  }

  pathMtu(to: Endpoint): number | undefined {
    const route = this.binding.findRoute(to);
    if (route === "ENODEV") throw new OSError(route, { syscall: "pathMtu", address: to.host, port: to.port });
    return typeof route === "string" ? undefined : this.#ip.mtu(route);
  }

  counts(): DriverCounts {
    const { askedBytes } = this.#options;
    return {
      droppedKernel: this.#receiveBuffer.dropped,
      systemCalls: undefined,
      segmentationRefused: undefined,
      receiveBuffer: { askedBytes, givenBytes: askedBytes },
    };
  }

  keepAlive(on: boolean): void {
    this.#keepsAlive = on;
  }

  close(): CloseResult {
    const unread = { datagrams: 0, bytes: 0 };
    if (this.#closed) return { unread, unreported: [] };
    this.#closed = true;
    this.#releaseResources();
    return { unread, unreported: this.#notifier.close() };
  }

  /**
   * Ends the socket because the host crashed: nothing is sent any more, waiting sends fail, and the port is free at once. The
   * caller then closes the socket.
   */
  crash(): void {
    if (this.#crashed || this.#closed) return;
    this.#crashed = true;
    this.#pendingError = undefined;
    this.#releaseResources();
    this.#notifier.endPause();
  }

  arrive(
    packet: Packet,
    datagram: UdpDatagram,
    time: number,
    at: Interface,
    toAll: boolean,
  ): boolean | undefined {
    // Another socket that received the same datagram may have crashed the host.
    if (this.#crashed) return undefined;
    const { receiveBytes } = this.#options;
    const { port } = this.binding;
    if (!this.#receiveBuffer.add(receiveBytes, port, packet, datagram, time, at, toAll)) return undefined;
    return this.#notifier.reportReadable();
  }

  icmpArrived({ type, code, mtu, about }: IcmpError, port: number, from: string): void {
    if (this.#crashed) return;
    const destination = this.binding.endpointOf(about.destination, port);
    const said = forSocket(from, this.#family);
    if (mtu > 0) {
      this.#notifier.report({ type: "tooBig", destination, from: said });
      return;
    }
    const name = codeOfIcmp(about.version, type, code);
    const kind = icmpKind(about.version, type, code);
    this.#notifier.report({ type: "unreachable", report: { destination, code: name, kind, from: said } });
    const { peer } = this.binding;
    if (peer !== destination) return;
    const { host: address, port: at } = peer;
    const text = name === "ECONNREFUSED" ? undefined : `${kind}, from ${said}`;
    this.#pendingError = new OSError(name, { syscall: "recvfrom", address, port: at, text });
    this.#notifier.reportReadable();
  }

  /** The name of an interface that is given by name or number; `""` for none. */
  #interfaceName(given: string, option: string): string {
    if (given === "" || given === "0") return "";
    const found = this.#ip.routing.interfaces.find(
      ({ name, index }) => name === given || String(index) === given,
    );
    if (found) return found.name;
    throw new OSError("ENODEV", {
      syscall: "setsockopt",
      text: `${option} cannot be ${JSON.stringify(given)} here`,
    });
  }

  /** @param payloads of the batch, at the same positions as in its arena. */
  #send(batch: Outbound, index: number, payloads: Buffer): OSError | undefined {
    const peer = batch.peer(index);
    const connected = this.binding.peer;
    const to = peer ?? connected;
    if (this.#crashed) return this.#crashError(peer ? "sendto" : "send", to);
    if (!to) return failure("EDESTADDRREQ", null, null);
    const ancillary = batch.ancillary(index);
    const found = this.binding.socketRoute(to, ancillary);
    if ("code" in found) return failure(found.code, peer, connected, { text: found.text });
    const { route, source } = found;
    const start = batch.starts[index] as number;
    const payload = batch.count === 1 ? payloads : payloads.subarray(start, start + batch.length(index));
    const code = this.#ip.send(this.binding, route, to.port, payload, source, ancillary);
    if (code === undefined) return undefined;
    if (code !== "EMSGSIZE") return failure(code, peer, connected);
    const mtu = this.#ip.mtu(route, ancillary?.probe);
    const limit = payloadWithin(mtu, to);
    const text = `message of ${payload.length} bytes is over the limit of ${limit} of a path MTU of ${mtu}`;
    return failure(code, peer, connected, { limit, text });
  }

  #releaseResources(): void {
    this.#notifier.stopReadable();
    this.#receiveBuffer.clear();
    this.binding.release();
    this.#ip.groups.leaveAll(this);
    this.#config.closed(this);
  }

  /** The error of a call that a crash ended. */
  #crashError(syscall: string, to: Endpoint | null): OSError {
    const text = "its host crashed";
    return new OSError("ECANCELED", { syscall, address: to?.host, port: to?.port, text });
  }
}

function notSimulated(syscall: string, what: string): OSError {
  return new OSError("ENOTSUP", {
    syscall,
    text: `the simulated network has no ${what}: the native driver has`,
  });
}
