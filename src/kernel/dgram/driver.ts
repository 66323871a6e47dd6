import type { Buffer } from "node:buffer";

import type { Endpoint, Family } from "../../core/address/address.js";
import type { Capabilities } from "../../core/capabilities.js";
import type { CloseResult, Driver, DriverEvents, Sink } from "../../core/driver/driver.js";
import type { MembershipChange } from "../../core/driver/membership.js";
import type { Option, OptionValue } from "../../core/driver/options.js";
import type { Outbound } from "../../core/driver/outbound.js";
import { OSError } from "../../core/errors/errors.js";
import { type DriverCounts, noCounts } from "../../core/ledger/ledger.js";
import { bufferSize } from "../buffers.js";
import { hostFor } from "../interfaces.js";
import { Association } from "./association.js";
import { toOSError } from "./errors.js";
import { Receiving } from "./receiving.js";
import { setsBuffers } from "./runtimes.js";
import { Sending } from "./sending.js";
import { DgramSocket } from "./socket.js";

/** The longest interval of a timer, in milliseconds. */
const longestMs = 0x7fff_ffff;

/** The driver of one socket over `node:dgram`. */
export class DgramDriver implements Driver {
  readonly batches = false;
  readonly capabilities: Capabilities;
  readonly #socket: DgramSocket;
  readonly #association: Association;
  readonly #receiving: Receiving;
  readonly #sending: Sending;
  readonly #takeError: () => OSError | undefined;
  #keepAliveTimer: NodeJS.Timeout | undefined;

  /** @param fd the descriptor of a socket that was opened and bound elsewhere. */
  constructor(capabilities: Capabilities, family: Family, fd: number | undefined, events: DriverEvents) {
    this.capabilities = capabilities;
    const receiving = new Receiving(events);
    this.#receiving = receiving;
    this.#takeError = () => receiving.takeError();
    this.#socket = new DgramSocket(family, fd, {
      arrived: (data, host, port) => receiving.arrived(data, host, port),
      failed: (error) => receiving.failed(toOSError(error, "recvfrom", this.#association.peer ?? undefined)),
    });
    this.#association = new Association(this.#socket, events, receiving);
    this.#sending = new Sending(this.#socket, this.#association, events);
  }

  bind(at: Endpoint): Promise<void> | undefined {
    return this.#socket.bind(at);
  }

  connect(to: Endpoint | null): Promise<void> | undefined {
    return this.#association.connect(to);
  }

  local(): Endpoint {
    return this.#socket.local();
  }

  remote(): Endpoint {
    return this.#association.remote();
  }

  setOption(option: Option, value: OptionValue): void {
    this.#socket.options.set(option, value, this.#socket.current);
  }

  getOption(option: Option): OptionValue {
    return this.#socket.options.get(option, this.#socket.current);
  }

  setBytes(level: number, option: number): void {
    throw noNumbers("setsockopt", level, option);
  }

  getBytes(level: number, option: number): Buffer {
    throw noNumbers("getsockopt", level, option);
  }

  changeMembership(change: MembershipChange): void {
    this.#socket.options.changeMembership(change, this.#socket.current);
  }

  receive(sink: Sink): boolean {
    return this.#receiving.receive(sink);
  }

  wantReadable(): void {
    // `node:dgram` reads all the time and cannot be asked to stop.
  }

  send(batch: Outbound): number {
    return this.#sending.send(batch, this.#takeError);
  }

  counts(): DriverCounts {
    const socket = this.#socket.current;
    if (!socket || !setsBuffers) return noCounts;
    const { askedBytes } = this.#socket.options;
    return { ...noCounts, receiveBuffer: bufferSize("receive", askedBytes, socket.getRecvBufferSize()) };
  }

  keepAlive(on: boolean): void {
    // `ref` of a socket of Node has an effect only once the socket reads, and a call may wait on one that is not bound.
    this.#keepAliveTimer ??= setInterval(() => undefined, longestMs).unref();
    if (on) this.#keepAliveTimer.ref();
    else this.#keepAliveTimer.unref();
  }

  pathMtu(to: Endpoint): undefined {
    hostFor(to, "pathMtu");
    return undefined;
  }

  close(): CloseResult {
    clearInterval(this.#keepAliveTimer);
    this.#sending.close();
    this.#socket.close();
    return { unread: this.#receiving.close(), unreported: [] };
  }
}

function noNumbers(syscall: string, level: number, option: number): OSError {
  const text = `the dgram driver cannot reach option ${option} at level ${level}: the native driver can`;
  return new OSError("ENOTSUP", { syscall, text });
}
