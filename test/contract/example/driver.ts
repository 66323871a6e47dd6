/**
 * The shortest driver that keeps the contract of `src/core/driver/driver.ts`: a loopback in memory, as a pattern for new
 * drivers. The sockets of one stack reach each other only. The driver lacks every feature and every optional method.
 */

import {
  type Address,
  type Endpoint,
  type Family,
  anyAddress,
  destinationOf,
} from "../../../src/core/address/address.js";
import { type Capabilities, type Feature, unavailable } from "../../../src/core/capabilities.js";
import type { CloseResult, Driver, DriverEvents, Sink, Stack } from "../../../src/core/driver/driver.js";
import { notSupported } from "../../../src/core/driver/driver-errors.js";
import type { Option, OptionValue } from "../../../src/core/driver/options.js";
import type { Outbound } from "../../../src/core/driver/outbound.js";
import { OSError } from "../../../src/core/errors/errors.js";
import { Ledger } from "../../../src/core/ledger/ledger.js";
import { realClock } from "../../../src/kernel/clock.js";
import { randomUint32 } from "../../../src/kernel/random.js";

const features: readonly Feature[] = [
  ...(["batching", "segmentation", "coalescing", "kernelQueue", "kernelDropCount", "icmpErrors"] as const),
  ...(["packetInfo", "pathMtu", "reusePort", "optionReadback", "blockSource", "allOptions"] as const),
  ...(["descriptors", "kernelOptions", "sendtoWhileConnected", "busyPoll"] as const),
];
const lacking = unavailable("the example driver is a loopback in memory: the native driver has this");
const capabilities = Object.fromEntries(features.map((feature) => [feature, lacking])) as Capabilities;

/** Ports that the kernel would choose. */
let nextPort = 49_152;

/** The sockets that have an address, by that address. */
const bound = new Map<string, ExampleDriver>();
const socketAt = (to: Address): ExampleDriver | undefined =>
  bound.get(String(to)) ?? bound.get(String(anyAddress(to.family as Family, to.port)));

class ExampleDriver implements Driver {
  readonly batches = false;
  readonly capabilities = capabilities;
  readonly #family: Family;
  readonly #events: DriverEvents;
  readonly #options = new Map<string, OptionValue>();
  readonly #unread: { data: Buffer; source: Endpoint }[] = [];
  #local: Endpoint;
  #peer: Endpoint | null = null;
  #wanted = false;

  constructor(family: Family, events: DriverEvents) {
    this.#family = family;
    this.#events = events;
    this.#local = anyAddress(family);
  }

  async bind(at: Endpoint): Promise<void> {
    if (this.#local.port !== 0)
      throw new OSError("EINVAL", { syscall: "bind", address: at.host, port: at.port });
    const local = (at.port === 0 ? at.withPort(nextPort++) : at) as Endpoint;
    if (socketAt(local))
      throw new OSError("EADDRINUSE", { syscall: "bind", address: at.host, port: at.port });
    this.#local = local;
    bound.set(String(local), this);
  }

  async connect(to: Endpoint | null): Promise<void> {
    if (this.#local.port === 0 && to) await this.bind(anyAddress(this.#family));
    this.#peer = to && destinationOf(to);
  }

  local(): Endpoint {
    return this.#local;
  }

  remote(): Endpoint {
    if (this.#peer) return this.#peer;
    throw new OSError("ENOTCONN", { syscall: "getpeername" });
  }

  setOption({ name }: Option, value: OptionValue): void {
    this.#options.set(name, value);
  }

  getOption({ name }: Option): OptionValue {
    return this.#options.get(name) ?? 0;
  }

  receive(sink: Sink): boolean {
    for (const { data, source } of this.#unread.splice(0, 64)) sink.push(data, source, 0);
    return this.#unread.length > 0;
  }

  wantReadable(on: boolean): void {
    this.#wanted = on;
    if (on && this.#unread.length > 0) this.#tellSoon();
  }

  send(batch: Outbound): number {
    if (this.#local.port === 0) void this.bind(anyAddress(this.#family));
    const { settled, count } = batch;
    for (let index = settled; index < count; index++) {
      // The memory of a batch is reused, so the driver copies the payloads that it keeps.
      const payload = batch.view(index);
      // Not Buffer.from(): a small buffer would keep the whole pool of Node in memory, which is 64 KiB on Node 24.
      const data = Buffer.allocUnsafeSlow(payload.length);
      data.set(payload);
      const to = batch.peer(index) ?? this.remote();
      if (this.#peer && !to.equals(this.#peer)) batch.fail(index, notSupported("sendto", lacking));
      else socketAt(destinationOf(to))?.arrive(data, destinationOf(this.#local));
    }
    return count - settled;
  }

  close(): CloseResult {
    if (bound.get(String(this.#local)) === this) bound.delete(String(this.#local));
    const bytes = this.#unread.reduce((sum, { data }) => sum + data.length, 0);
    return { unread: { datagrams: this.#unread.splice(0).length, bytes }, unreported: [] };
  }

  arrive(data: Buffer, source: Endpoint): void {
    if (this.#peer && !source.equals(this.#peer)) return;
    this.#unread.push({ data, source });
    if (this.#wanted) this.#tellSoon();
  }

  /** Schedules the events, since they never come during a call. */
  #tellSoon(): void {
    this.#wanted = false;
    setImmediate(() => this.#events.readable());
  }
}

export const exampleStack: Stack = {
  // A real driver has a name of its own.
  name: "sim",
  clock: realClock,
  capabilities,
  ledger: new Ledger(capabilities),
  random: randomUint32,
  resolve: (host) => Promise.reject(new OSError("ENOTFOUND", { address: host })),
  open: (family, { fd, dontFragment }, events) => {
    if (fd !== undefined || dontFragment) throw notSupported("socket", lacking);
    return new ExampleDriver(family, events);
  },
};
