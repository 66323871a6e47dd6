/**
 * The send side of a socket. A payload takes this trip: `Sender.send` copies it into a batch (`Outbound`), together with the
 * other sends of the tick. `sendMany` borrows its payloads instead (`Bulk`), and they are copied when the driver is ready.
 * `sendBatch` takes a batch that its caller has filled. The sender then hands one batch at a time to `Driver.send`, which makes
 * the system call. When the driver has settled datagrams, the sender tells their owners (`Completion`), the ledger and the taps.
 * `queue.ts` keeps the datagrams that wait, in the epochs of `epochs.ts`. `pause.ts` lets the program run between sends,
 * `fragments.ts` counts fragments, `path-mtu-cache.ts` remembers the path to each peer, and `failure.ts` makes the errors.
 */

import type { Buffer } from "node:buffer";

import { type Address, type Endpoint, type Family, isEndpoint } from "../address/address.js";
import type { Ancillary } from "../driver/ancillary.js";
import type { Clock, Driver } from "../driver/driver.js";
import { brokenContract, toOSError } from "../driver/driver-errors.js";
import { type Borrowed, type Completion, type Outbound, destinationOf } from "../driver/outbound.js";
import { sizeOf } from "../driver/payload.js";
import { OSError } from "../errors/errors.js";
import type { Ledger, Traffic } from "../ledger/ledger.js";
import { anyLimit, closedFirst, failure, longerMessages, payloadLimit } from "./failure.js";
import { type Barrier, type Unresolved, takeUnresolved } from "./epochs.js";
import { countFragmented, learnPaths, mayFragment } from "./fragments.js";
import { SendQueue } from "./queue.js";
import { SendPause } from "./pause.js";

/** `then` of it costs half as much as `queueMicrotask`, which makes an async resource each time. */
const resolved = Promise.resolve();

/** What the sender needs of its socket. */
export interface SenderHost {
  readonly driver: Driver;
  readonly clock: Clock;
  readonly family: Family;
  readonly peer: Endpoint | null;
  readonly ledger: Pick<Ledger, "sent" | "fragmented">;
  /** The addresses of a name. */
  resolve(host: string): Promise<Endpoint>;
  /** Whether `showSent` is to be called. */
  readonly tapped: boolean;
  /** Bytes of payload that go to `to` in one packet; `Infinity` if that is unknown, or if nothing may be fragmented. */
  wholeTo(to: Endpoint): number;
  /** Called for each datagram that was sent while `tapped`. The payload is valid only during the call. */
  showSent(payload: Buffer, peer: Endpoint | null, ancillary: Ancillary | undefined): void;
  failed(error: OSError): void;
  /** Called after a barrier if nothing was ever sent. The host may drop the sender, and make another one when it needs it. */
  unused(): void;
}

/**
 * Sends the datagrams of one socket. Sends of one tick leave together. Datagrams to one destination leave in the order of the
 * calls. No send overtakes a barrier: `bind` and `connect`.
 */
export class Sender {
  readonly #host: SenderHost;
  readonly #queue: SendQueue;
  #inFlight: Outbound | undefined;
  /** Whether the driver calls `settled` when it is ready for more. */
  #waiting = false;
  #flushing = false;
  #atBarrier = false;
  #flushSoon: (() => void) | undefined;
  #scheduled = false;
  readonly #pause: SendPause;
  #drained: (() => void) | undefined;
  #canceled = false;

  /** @param maxBytes how many bytes may wait here. A send that would exceed it fails with `ENOBUFS`. */
  constructor(host: SenderHost, maxBytes: number) {
    this.#host = host;
    this.#pause = new SendPause(host.clock, () => this.#flush());
    this.#queue = new SendQueue(host, maxBytes);
  }

  /**
   * Copies a payload and sends it in its turn.
   *
   * @param bytes of the payload.
   * @param to `null` is the connected peer.
   * @param ancillary `undefined` leaves all of it to the options of the socket.
   * @returns the error if the datagram is refused; `undefined` if `owner` will hear about it.
   */
  send(
    payload: Uint8Array,
    bytes: number,
    to: Address | null,
    owner: Completion,
    tag: number,
    ancillary?: Ancillary,
  ): OSError | undefined {
    const tooBig = this.#tooBig(bytes, to);
    if (tooBig) return tooBig;
    const full = this.#queue.reserve(bytes, to);
    if (full) {
      this.#host.failed(full);
      return full;
    }
    if (to !== null && !isEndpoint(to)) {
      this.#resolveLater(to.host, { payload: new Uint8Array(payload), port: to.port, owner, tag, ancillary });
    } else {
      this.#queue.append(this.#queue.last, payload, bytes, to, owner, tag, ancillary);
      if (this.#host.driver.batches) this.#schedule();
      else this.#flush();
    }
    return undefined;
  }

  /** Sends many datagrams. Their payloads stay the caller's. `owner` hears about each by its position. */
  sendMany(borrowed: Borrowed, owner: Completion): void {
    let left = borrowed.count;
    if (!borrowed.ready) {
      for (let index = 0; index < borrowed.count; index++) if (!this.#lend(borrowed, index, owner)) left--;
    }
    if (left === 0) return;
    this.#queue.last.queue.push({ borrowed, owner, next: 0 });
    this.#schedule();
  }

  /** Sends a batch that its caller has filled and addressed, with at most `anyLimit` bytes in a datagram. */
  sendBatch(batch: Outbound): void {
    this.#queue.last.queue.push(batch);
    this.#schedule();
  }

  /** Runs `act` when all earlier sends are settled. Later sends wait until it is done. */
  barrier<T>(act: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#queue.endEpoch({
        run: () => act().then(resolve, reject),
        cancel: () => reject(closedFirst()),
      });
      this.#flush();
    });
  }

  /**
   * Runs `act` when all earlier sends are settled: now, if nothing waits. Later sends wait until it is done.
   *
   * @returns a promise if something waits.
   */
  barrierNow(act: () => Promise<void> | undefined): Promise<void> | undefined {
    this.#flush();
    if (this.#flushing || !this.#queue.idle) return this.barrier(async () => act());
    const later = act();
    return later && this.barrier(() => later);
  }

  /** The datagrams that are not settled. */
  get waiting(): Traffic {
    return this.#queue.waiting;
  }

  /**
   * The driver has settled `count` more datagrams of the batch in flight, and may be given the rest.
   *
   * @throws `Error` if the batch has fewer datagrams left, or during a call to the driver.
   */
  settled(count: number): void {
    const left = this.#inFlight ? this.#inFlight.count - this.#inFlight.settled : 0;
    if (!isCount(count, left)) throw brokenContract(`it settled ${count} datagrams, and has ${left}`);
    if (this.#flushing) throw brokenContract("it settled datagrams during a call");
    this.#waiting = false;
    this.#flush(count);
  }

  /** The loop has turned. */
  turned(): void {
    this.#pause.turned();
  }

  /** Fails the datagrams that wait for a name. Calls `done` when all others are settled, at once if they are. */
  drain(done: () => void): void {
    for (const epoch of this.#queue.epochs) {
      for (const name of epoch.names?.keys() ?? []) {
        const text = "the socket was closed before the name resolved";
        this.#failUnresolved(
          takeUnresolved(epoch.names, name),
          new OSError("ECANCELED", { address: name, text }),
          text,
        );
      }
    }
    this.#drained = done;
    this.#flush();
  }

  /** Fails everything that is not settled. The driver is closed by now. */
  cancel(): void {
    this.#canceled = true;
    const inFlight = this.#inFlight;
    if (inFlight) this.#settle(inFlight, inFlight.count - inFlight.settled);
    for (const epoch of this.#queue.epochs) {
      while (epoch.queue.length > 0) {
        const batch = this.#queue.take(epoch);
        this.#settle(batch, batch.count);
      }
      // Also a barrier that runs now: a driver may never end it.
      epoch.barrier?.cancel();
    }
  }

  /** Returns `false` if a borrowed datagram has failed, or is copied because its name must be resolved. */
  #lend(borrowed: Borrowed, index: number, owner: Completion): boolean {
    const [payload, to] = [borrowed.payloads[index] as Uint8Array, destinationOf(borrowed, index)];
    const bytes = sizeOf(payload);
    const refused =
      to === null || isEndpoint(to)
        ? this.#tooBig(bytes, to)
        : this.send(payload, bytes, to, owner, index, borrowed.ancillaries?.[index]);
    if (refused) owner.failed(index, refused);
    if (!refused && (to === null || isEndpoint(to))) return true;
    borrowed.lengths[index] = -1;
    return false;
  }

  #resolveLater(name: string, unresolved: Unresolved): void {
    const epoch = this.#queue.last;
    const names = (epoch.names ??= new Map());
    const waiting = names.get(name);
    if (waiting) {
      waiting.push(unresolved);
      return;
    }
    names.set(name, [unresolved]);
    this.#host.resolve(name).then(
      (found) => {
        for (const { payload, port, owner, tag, ancillary } of takeUnresolved(names, name)) {
          const to = found.withPort(port) as Endpoint;
          const tooBig = this.#tooBig(payload.length, to);
          if (tooBig) {
            this.#queue.release(payload.length, 1);
            owner.failed(tag, tooBig);
          } else this.#queue.append(epoch, payload, payload.length, to, owner, tag, ancillary);
        }
        this.#flush();
      },
      (error: unknown) => {
        this.#failUnresolved(takeUnresolved(names, name), toOSError(error, "sendto"));
        this.#flush();
      },
    );
  }

  #failUnresolved(unresolved: readonly Unresolved[], cause: OSError, text?: string): void {
    for (const { payload, port, owner, tag } of unresolved) {
      const error = new OSError(cause.code, { syscall: "sendto", address: cause.address, port, cause, text });
      this.#queue.release(payload.length, 1);
      this.#host.failed(error);
      owner.failed(tag, error);
    }
  }

  #tooBig(bytes: number, to: Address | null): OSError | undefined {
    if (bytes <= anyLimit) return undefined;
    const limit = payloadLimit(to ?? this.#host.peer, this.#host.family);
    if (bytes <= limit) return undefined;
    const error = failure("EMSGSIZE", to, this.#host.peer, {
      limit,
      text: `message of ${bytes} bytes is over the limit of ${limit}${longerMessages}`,
    });
    this.#host.failed(error);
    return error;
  }

  /** Sends of one tick leave together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    void resolved.then((this.#flushSoon ??= () => this.#flush()));
  }

  /** Sends what can be sent now. The driver has settled `settled` datagrams since its last call. */
  #flush(settled = 0): void {
    this.#scheduled = false;
    // A listener that hears about a failure may send, or close the socket.
    if (this.#flushing) return;
    this.#flushing = true;
    try {
      if (this.#inFlight && settled > 0) this.#settle(this.#inFlight, settled);
      this.#advance();
    } finally {
      this.#flushing = false;
    }
  }

  #advance(): void {
    while (!this.#waiting && !this.#atBarrier && !this.#pause.isPaused) {
      const epoch = this.#queue.first;
      if (this.#inFlight || epoch.queue.length > 0) {
        this.#transmit((this.#inFlight ??= this.#queue.take(epoch)));
        continue;
      }
      if (epoch.names && epoch.names.size > 0) return;
      if (!epoch.barrier) {
        const drained = this.#drained;
        this.#drained = undefined;
        drained?.();
        return;
      }
      this.#run(epoch.barrier);
    }
  }

  #run(barrier: Barrier): void {
    this.#atBarrier = true;
    void barrier.run().then(() => {
      this.#atBarrier = false;
      this.#queue.dropFirst();
      this.#flush();
      if (this.#queue.unused) this.#host.unused();
    });
  }

  #transmit(batch: Outbound): void {
    const left = batch.count - batch.settled;
    if (mayFragment(batch) && batch.settled === 0 && !this.#canceled) learnPaths(batch, this.#host);
    const count = this.#canceled || left === 0 ? left : this.#hand(batch, left);
    this.#waiting = count === 0 && left > 0;
    if (this.#waiting) return;
    this.#settle(batch, count);
  }

  /** Hands the rest of a batch to the driver. If the driver throws, its first datagram fails, and the others go on. */
  #hand(batch: Outbound, left: number): number {
    try {
      const count = this.#host.driver.send(batch);
      if (isCount(count, left)) return count;
      throw brokenContract(`send() settled ${String(count)} datagrams, and had ${left}`);
    } catch (thrown) {
      const to = batch.peer(batch.settled);
      batch.fail(batch.settled, toOSError(thrown, to ? "sendto" : "send", to ?? this.#host.peer));
      return 1;
    }
  }

  /** Tells the owners of the next `count` datagrams, and releases the batch after its last. */
  #settle(batch: Outbound, count: number): void {
    const host = this.#host;
    if (mayFragment(batch) && !this.#canceled) {
      const fragmented = countFragmented(batch, count, host);
      if (fragmented > 0) host.ledger.fragmented(fragmented);
    }
    if (!batch.anyFailed && !this.#canceled && !host.tapped) {
      host.ledger.sent(count, batch.settleSent(count));
    } else {
      for (let left = count; left > 0; left--) this.#settleNext(batch);
    }
    if (!this.#canceled) this.#pause.sent(count);
    if (batch.settled < batch.count) return;
    const inFlight = batch === this.#inFlight;
    if (inFlight) this.#inFlight = undefined;
    this.#queue.release(batch.bytes, batch.count);
    batch.release(!inFlight || !this.#canceled);
  }

  #settleNext(batch: Outbound): void {
    const host = this.#host;
    const index = batch.settled;
    const error = batch.settleNext(this.#canceled ? closedFirst() : undefined);
    if (error) {
      host.failed(error);
      return;
    }
    host.ledger.sent(1, batch.length(index));
    if (host.tapped) host.showSent(batch.view(index), batch.peer(index), batch.ancillary(index));
  }
}

/** Whether `count` is a number of datagrams that a driver can have settled, of `left`. */
function isCount(count: number, left: number): boolean {
  return Number.isInteger(count) && count >= 0 && count <= left;
}
