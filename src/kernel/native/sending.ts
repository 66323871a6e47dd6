/** The send side of the native driver. */

import { Buffer } from "node:buffer";

import { type Endpoint, isOverIPv4 } from "../../core/address/address.js";
import { boundElsewhereText, noInterfaceText } from "../../core/address/scopes.js";
import { unavailable } from "../../core/capabilities.js";
import { AF_INET, IPPROTO_IP, IPPROTO_IPV6, IPV6_TCLASS, IP_TOS } from "../../core/constants.js";
import { littleEndian } from "../../core/driver/bytes.js";
import type { Outbound } from "../../core/driver/outbound.js";
import { codeOf } from "../../core/errors/errno.js";
import type { OSError } from "../../core/errors/errors.js";
import { failure } from "../../core/send/failure.js";
import { payloadWithin } from "../../core/send/path-mtu-cache.js";
import { goneText } from "../local-address.js";
import { readSent } from "./addon.js";
import { withProbing } from "./kernel-options.js";
import { RouteEncoder } from "./route-encoder.js";
import { refusedMtu } from "./error-queue.js";
import type { KernelSocket } from "./socket.js";

/** Milliseconds between two tries after `ENOBUFS`. The time doubles after each try, up to `lastRetryMs`. */
const firstRetryMs = 1;
const lastRetryMs = 32;
/** The maximum number of destinations without room that are postponed at a time. */
const maxFull = 16;
/** The number of tries before a datagram fails with `ENOBUFS`: about one second. */
const maxRetries = 36;

/** Sends the batches of one socket. */
export class Sending {
  readonly #socket: KernelSocket;
  readonly #routes: RouteEncoder;
  #refusals: Map<string, number> | undefined;
  #calls = 0;
  #retries = 0;
  /** Destinations that had no room since the last try. */
  readonly #full = new Set<string>();
  #retry: NodeJS.Timeout | undefined;

  constructor(socket: KernelSocket) {
    this.#socket = socket;
    this.#routes = new RouteEncoder(socket.addon, socket.names, (to) => this.#tosTo(to));
    socket.onWritable = () => this.#resume();
  }

  /** The number of system calls that sent datagrams. */
  get calls(): number {
    return this.#calls;
  }

  /** Segmented sends that the kernel refused, by error code. */
  get segmentationRefused(): Record<string, number> {
    return Object.fromEntries(this.#refusals ?? []);
  }

  /** As `Driver.send`. */
  send(batch: Outbound): number {
    this.#socket.prepareToSend();
    const from = batch.settled;
    const to = batch.peer(from);
    const pending = this.#isForPeer(to) ? this.#socket.icmpErrors.takePendingError() : undefined;
    if (pending) {
      // As in the kernel, a pending error fails the next call, and that call sends nothing.
      batch.fail(
        from,
        failure(pending.code, batch.peer(from), this.#socket.peer ?? null, { text: pending.text }),
      );
      return 1;
    }
    const count = this.#routes.encode(batch, from, this.#socket.peer);
    if (count === 0) return 1;
    this.#calls++;
    const result = batch.ancillary(from)?.probe
      ? withProbing(this.#socket.handle, this.#socket.family, () => this.#transmit(batch, from, count))
      : this.#transmit(batch, from, count);
    this.#socket.reportIcmpErrors();
    const { sent, errno, refused, rejected } = readSent(result);
    for (let index = from + sent; index < from + sent + rejected; index++) {
      batch.fail(index, failure("EPERM", batch.peer(index), this.#socket.peer ?? null));
    }
    if (sent > 0) {
      this.#retries = 0;
      if (refused > 0) this.#segmentationRefused(codeOf(refused));
    }
    if (sent + rejected > 0) return sent + rejected;
    const code = codeOf(errno);
    if (code === "ENOBUFS" && this.#postpones(batch)) return this.send(batch);
    if (this.#waitsFor(code)) return 0;
    // If the queue stays full, the datagrams after this one get only one more try.
    this.#retries = code === "ENOBUFS" ? maxRetries - 1 : 0;
    batch.fail(from, this.#refusal(code, batch, from));
    return 1;
  }

  #transmit({ arena, starts, lengths }: Outbound, from: number, count: number): number {
    return this.#socket.handle.send(arena, starts, lengths, from, count);
  }

  /** The socket is closed: nothing is tried again. */
  close(): void {
    clearTimeout(this.#retry);
  }

  /** There may be room again. */
  #resume(): void {
    this.#socket.wantWritable(false);
    this.#socket.events.settled(0);
  }

  /** Postpones a destination without room, because another device may have room. Returns whether there are other destinations. */
  #postpones(batch: Outbound): boolean {
    const peer = batch.peer(batch.settled) ?? this.#socket.peer;
    if (!peer || this.#full.size === maxFull || this.#full.has(String(peer))) return false;
    this.#full.add(String(peer));
    return batch.postpone(this.#socket.peer ?? null);
  }

  /** Schedules another try of a send that failed with `code`, if a try makes sense. Returns whether it is scheduled. */
  #waitsFor(code: string): boolean {
    if (code === "EAGAIN") {
      this.#socket.wantWritable(true);
      return true;
    }
    if (code !== "ENOBUFS" || this.#retries === maxRetries) return false;
    this.#full.clear();
    // The queue of the device is full. The socket is still writable, so there is no event to wait for.
    this.#retry = setTimeout(
      () => this.#resume(),
      Math.min(firstRetryMs * 2 ** this.#retries++, lastRetryMs),
    );
    return true;
  }

  /** Returns the TOS of datagrams to a peer. IPv4 and IPv6 have different options for it, on an IPv6 socket too. */
  #tosTo(to: Endpoint | null): number {
    const peer = to ?? this.#socket.peer;
    const ipv4 = peer ? isOverIPv4(peer) : this.#socket.family === AF_INET;
    const value = Buffer.alloc(4);
    this.#socket.handle.getOption(ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_TOS : IPV6_TCLASS, value);
    return value.readUInt8(littleEndian ? 0 : 3);
  }

  /** Whether a datagram goes to the connected peer, in any spelling: `0.0.0.0` is this host. */
  #isForPeer(to: Endpoint | null): boolean {
    return (
      !to || !this.#socket.peer || to.equals(this.#socket.peer) || this.#socket.peerGiven?.equals(to) === true
    );
  }

  /** Returns the error of a datagram that the kernel refused with `code`. */
  #refusal(code: string, batch: Outbound, index: number): OSError {
    const [to, peer] = [batch.peer(index), this.#socket.peer ?? null];
    const destination = to ?? peer;
    const source = batch.ancillary(index)?.source;
    if (code === "EMSGSIZE" && destination) {
      const mtu = refusedMtu(this.#socket.addon) ?? this.#socket.pathMtu(destination);
      if (mtu === undefined) return failure(code, to, peer);
      const limit = payloadWithin(mtu, destination);
      const text = `message of ${batch.length(index)} bytes is over the limit of ${limit} of a path MTU of ${mtu}`;
      return failure(code, to, peer, { limit, text });
    }
    const by = batch.ancillary(index)?.interface ?? destination?.scope;
    if (code === "EINVAL" && by !== undefined && !source)
      return failure(code, to, peer, { text: boundElsewhereText(by) });
    if (code === "ENODEV" && by !== undefined) return failure(code, to, peer, { text: noInterfaceText(by) });
    // If the source is not an address of this host, the error code depends on the IP version.
    if (!source || (code !== "EINVAL" && code !== "ENETUNREACH")) {
      const text =
        this.#socket.icmpErrors.text() ?? goneText(code, this.#socket.local(), this.#socket.boundTo);
      return failure(code, to, peer, { text });
    }
    return failure(code, to, peer, { text: `${source.host} is perhaps not an address of this host` });
  }

  /** The kernel refused a segmented send, and its datagrams were sent one by one. */
  #segmentationRefused(code: string): void {
    const refusals = (this.#refusals ??= new Map<string, number>());
    refusals.set(code, (refusals.get(code) ?? 0) + 1);
    if (code !== "EINVAL") return;
    const reason = "the kernel refused a segmented send of this socket: EINVAL";
    this.#socket.capabilities = Object.freeze({
      ...this.#socket.capabilities,
      segmentation: unavailable(reason),
    });
  }
}
