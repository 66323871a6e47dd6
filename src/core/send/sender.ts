import { type Address, type Endpoint, type Family, isEndpoint } from "../address/address.js";
import type { Ancillary } from "../driver/ancillary.js";
import type { Clock, Driver } from "../driver/driver.js";
import { brokenContract, toOSError } from "../driver/driver-fault.js";
import { assert } from "../assert.js";
import { OSError } from "../errors/errors.js";
import { anyLimit, closedFirst, failure, payloadLimit } from "./failure.js";
import { type Borrowed, type Completion, Outbound, destinationOf, ordinary } from "../driver/outbound.js";
import { sizeOf } from "../driver/payload.js";
import type { Ledger } from "../ledger/ledger.js";

/** Datagrams sent between two looks at the clock. */
const clockEvery = 64;
/** Milliseconds of sending before the rest of the program has its chance: awaited sends never leave the microtasks. */
const turnMs = 4;

/** Bytes that a waiting datagram counts for beside its payload, so that empty ones are bounded too. */
const overheadBytes = 64;
/** What the batch of a lone datagram has room for beside it. */
const spare = { bytes: 512, datagrams: 16 } as const;
/** Bytes of payload that no path has to cut: 576 less the longest headers (RFC 791). */
const wholeBytes = 508;
/** Half the cost of `queueMicrotask`, which makes an async resource each time. */
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
  /** Whether `showSent` wants to be told. */
  readonly tapped: boolean;
  /** Bytes of payload that go to `to` in one packet; `Infinity` where that is unknown, or nothing leaves otherwise. */
  wholeTo(to: Endpoint): number;
  /** Told of each datagram that left while `tapped`. The payload is the sender's: copy what is to be kept. */
  showSent(payload: Uint8Array, peer: Endpoint | null): void;
  failed(error: OSError): void;
}

/** Many datagrams whose payloads are borrowed: copied into batches only as the driver takes them. */
interface Bulk {
  readonly borrowed: Borrowed;
  readonly owner: Completion;
  next: number;
}

/** The sends between two barriers, and the barrier that ends them. */
interface Epoch {
  readonly queue: (Outbound | Bulk)[];
  /** Names whose addresses are still being looked up, by host. */
  names?: Map<string, Held[]>;
  barrier?: Barrier | undefined;
}

/** A `bind`, `connect` or the like: what comes after it waits until it is done. */
interface Barrier {
  /** Settles the call; never rejects. */
  readonly run: () => Promise<void>;
  /** Fails the call with `ECANCELED`, where it is not settled yet. */
  readonly cancel: () => void;
}

/** A datagram that waits for the address of its name. */
interface Held {
  readonly payload: Uint8Array;
  readonly port: number;
  readonly owner: Completion;
  readonly tag: number;
  readonly ancillary: Ancillary | undefined;
}

/**
 * The way out of a socket. Sends of one tick leave together; per destination the order of the calls holds; `bind`,
 * `connect` and `close` are barriers, which nothing overtakes.
 */
export class Sender {
  readonly #host: SenderHost;
  readonly #mostBytes: number;
  readonly #epochs: Epoch[] = [{ queue: [] }];
  #inFlight: Outbound | undefined;
  /** Whether the driver will tell when to go on. */
  #waiting = false;
  #flushing = false;
  #atBarrier = false;
  #flushSoon: (() => void) | undefined;
  #scheduled = false;
  #resting = false;
  /** Since when the loop has not turned, where that was looked at. */
  #busySince: number | undefined;
  #sinceClock = 0;
  #queuedBytes = 0;
  #drained: (() => void) | undefined;
  #canceled = false;

  /** @param mostBytes how many bytes may wait here; a send above it fails with `ENOBUFS`. */
  constructor(host: SenderHost, mostBytes: number) {
    this.#host = host;
    this.#mostBytes = mostBytes;
  }

  /**
   * Copies a payload and sends it in its turn.
   *
   * @param to `null` is the connected peer.
   * @param ancillary `undefined` is as the socket has it.
   * @returns the error that keeps it from being taken at all; `undefined` when `owner` will be told.
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
    const cost = bytes + overheadBytes;
    if (this.#queuedBytes + cost > this.#mostBytes) {
      const text = `${this.#queuedBytes} bytes wait to be sent already: await the sends`;
      const full = failure("ENOBUFS", to, this.#host.peer, { text });
      this.#host.failed(full);
      return full;
    }
    this.#queuedBytes += cost;
    if (to !== null && !isEndpoint(to)) {
      this.#hold(to.host, { payload: new Uint8Array(payload), port: to.port, owner, tag, ancillary });
    } else {
      this.#append(this.#lastEpoch, payload, bytes, to, owner, tag, ancillary);
      if (this.#host.driver.batches) this.#schedule();
      else this.#flush();
    }
    return undefined;
  }

  /** Sends many, with payloads that stay the caller's; `owner` is told of each by its position. */
  sendMany(borrowed: Borrowed, owner: Completion): void {
    let left = borrowed.count;
    if (!borrowed.ready) {
      for (let index = 0; index < borrowed.count; index++) if (!this.#lend(borrowed, index, owner)) left--;
    }
    if (left === 0) return;
    this.#lastEpoch.queue.push({ borrowed, owner, next: 0 });
    this.#schedule();
  }

  /** Runs `act` when everything before it has left, and holds back what comes after until it is done. */
  barrier<T>(act: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#lastEpoch.barrier = {
        run: () => act().then(resolve, reject),
        cancel: () => reject(closedFirst()),
      };
      this.#epochs.push({ queue: [] });
      this.#flush();
    });
  }

  /**
   * The driver has settled `count` more of the batch that it holds, and may go on with the rest.
   *
   * @throws `Error` where it holds no such number, or has been called and not returned yet.
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
    this.#sinceClock = 0;
  }

  /** Fails what waits for a name; calls `done` when all the rest has left, at once where that is so already. */
  drain(done: () => void): void {
    for (const epoch of this.#epochs) {
      for (const name of epoch.names?.keys() ?? []) {
        const text = "the socket was closed before the name resolved";
        this.#failHeld(takeFrom(epoch.names, name), new OSError("ECANCELED", { address: name, text }), text);
      }
    }
    this.#drained = done;
    this.#flush();
  }

  /** Fails everything that has not left. The driver is closed by now. */
  cancel(): void {
    this.#canceled = true;
    const inFlight = this.#inFlight;
    if (inFlight) this.#settle(inFlight, inFlight.count - inFlight.settled);
    for (const epoch of this.#epochs) {
      while (epoch.queue.length > 0) {
        const batch = this.#nextBatch(epoch);
        this.#settle(batch, batch.count);
      }
      // One that is under way too: a driver may never come to its end.
      epoch.barrier?.cancel();
    }
  }

  /** There is always one: a barrier begins the next before it ends its own. */
  get #firstEpoch(): Epoch {
    return this.#epochs[0] as Epoch;
  }

  get #lastEpoch(): Epoch {
    return this.#epochs[this.#epochs.length - 1] as Epoch;
  }

  #append(
    epoch: Epoch,
    payload: Uint8Array,
    bytes: number,
    to: Endpoint | null,
    owner: Completion,
    tag: number,
    ancillary: Ancillary | undefined,
  ): void {
    const { queue } = epoch;
    const tail = queue[queue.length - 1];
    if (tail instanceof Outbound && tail.add(payload, bytes, to, owner, tag, ancillary)) return;
    const batch = this.#batchAfter(tail, epoch, bytes);
    batch.add(payload, bytes, to, owner, tag, ancillary);
    queue.push(batch);
  }

  #batchAfter(tail: Outbound | Bulk | undefined, epoch: Epoch, bytes: number): Outbound {
    if (tail instanceof Outbound) return this.#batchFor(tail.mixed);
    // What stands alone between bulks and barriers, or on one of very many sockets, gets a small arena: of full ones, a few
    // thousand would be 300 MB.
    if (tail || epoch !== this.#firstEpoch || Outbound.scarce)
      return new Outbound({ ...spare, bytes: bytes + spare.bytes });
    return Outbound.take();
  }

  /** Gives `false` where a datagram is settled, or goes its own way, by its name. */
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

  #hold(name: string, held: Held): void {
    const epoch = this.#lastEpoch;
    const names = (epoch.names ??= new Map());
    const waiting = names.get(name);
    if (waiting) {
      waiting.push(held);
      return;
    }
    names.set(name, [held]);
    this.#host.resolve(name).then(
      (found) => {
        for (const { payload, port, owner, tag, ancillary } of takeFrom(names, name)) {
          const to = found.withPort(port) as Endpoint;
          const tooBig = this.#tooBig(payload.length, to);
          if (tooBig) {
            this.#queuedBytes -= payload.length + overheadBytes;
            owner.failed(tag, tooBig);
          } else this.#append(epoch, payload, payload.length, to, owner, tag, ancillary);
        }
        this.#flush();
      },
      (error: unknown) => {
        this.#failHeld(takeFrom(names, name), toOSError(error, "sendto"));
        this.#flush();
      },
    );
  }

  #failHeld(held: readonly Held[], cause: OSError, text?: string): void {
    for (const { payload, port, owner, tag } of held) {
      const error = new OSError(cause.code, { syscall: "sendto", address: cause.address, port, cause, text });
      this.#queuedBytes -= payload.length + overheadBytes;
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
      text: `message of ${bytes} bytes is over the limit of ${limit}`,
    });
    this.#host.failed(error);
    return error;
  }

  /** What is sent in this tick leaves together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    void resolved.then((this.#flushSoon ??= () => this.#flush()));
  }

  /** Sends what can go now. The driver has settled `settled` datagrams since it was called last. */
  #flush(settled = 0): void {
    this.#scheduled = false;
    // A listener that is told of a failure may send, or close.
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
    while (!this.#waiting && !this.#atBarrier && !this.#resting) {
      const epoch = this.#firstEpoch;
      if (this.#inFlight || epoch.queue.length > 0) {
        this.#transmit((this.#inFlight ??= this.#nextBatch(epoch)));
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

  /** After a while of sending, what comes next waits until the rest of the program had a turn. */
  #maybeRest(): void {
    this.#sinceClock = 0;
    const { clock } = this.#host;
    if (this.#busySince === undefined) {
      this.#busySince = clock.now();
      clock.turn(() => {
        this.#busySince = undefined;
        this.#resting = false;
        this.#flush();
      });
    } else if (clock.now() - this.#busySince >= turnMs) this.#resting = true;
  }

  #run(barrier: Barrier): void {
    this.#atBarrier = true;
    void barrier.run().then(() => {
      this.#atBarrier = false;
      this.#epochs.shift();
      this.#flush();
    });
  }

  #transmit(batch: Outbound): void {
    const left = batch.count - batch.settled;
    if (batch.longest > wholeBytes && batch.settled === 0 && !this.#canceled) this.#lookAhead(batch);
    const count = this.#canceled || left === 0 ? left : this.#hand(batch, left);
    this.#waiting = count === 0 && left > 0;
    if (this.#waiting) return;
    this.#settle(batch, count);
  }

  /** Gives the driver what is left of a batch. What it throws is the error of the first of them, and the rest has its turn. */
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

  /** Tells the owners of the next `count` datagrams, and lets go of the batch after its last. */
  #settle(batch: Outbound, count: number): void {
    const host = this.#host;
    if (batch.longest > wholeBytes && !this.#canceled) this.#countFragmented(batch, count);
    if (!batch.anyFailed && !this.#canceled && !host.tapped) {
      host.ledger.sent(count, batch.settleSent(count));
    } else {
      for (let left = count; left > 0; left--) this.#settleNext(batch);
    }
    this.#sinceClock += count;
    if (this.#sinceClock >= clockEvery && !this.#canceled) this.#maybeRest();
    if (batch.settled < batch.count) return;
    const inFlight = batch === this.#inFlight;
    if (inFlight) this.#inFlight = undefined;
    this.#queuedBytes -= batch.bytes + batch.count * overheadBytes;
    assert(this.#queuedBytes >= 0, "no more bytes leave the queue than were put in");
    batch.release(!inFlight || !this.#canceled);
  }

  /** What counts as a fragment is what was known of the paths before: a send may bring news of them. */
  #lookAhead(batch: Outbound): void {
    const host = this.#host;
    let last: Endpoint | null | undefined;
    for (let index = 0; index < batch.count; index++) {
      const peer = batch.peer(index) ?? host.peer;
      if (peer && peer !== last) host.wholeTo(peer);
      last = peer;
      if (!batch.mixed) return;
    }
  }

  #countFragmented(batch: Outbound, count: number): void {
    const host = this.#host;
    let fragmented = 0;
    let last: Endpoint | null | undefined;
    let whole = Infinity;
    for (let index = batch.settled; index < batch.settled + count; index++) {
      if (batch.length(index) <= wholeBytes || batch.failed(index)) continue;
      const peer = batch.peer(index) ?? host.peer;
      if (peer !== last) whole = peer ? host.wholeTo(peer) : Infinity;
      last = peer;
      if (batch.length(index) > whole && !batch.ancillary(index)?.probe) fragmented++;
    }
    if (fragmented > 0) host.ledger.fragmented(fragmented);
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
    if (host.tapped) host.showSent(batch.view(index), batch.peer(index));
  }

  /** The next batch of an epoch, which has one; of a bulk, as much as one batch holds. */
  #nextBatch({ queue }: Epoch): Outbound {
    const head = queue[0] as Outbound | Bulk;
    const batch = head instanceof Outbound ? head : this.#borrow(head);
    if (head instanceof Outbound || head.next === head.borrowed.count) {
      if (queue.length === 1) queue.pop();
      else queue.shift();
    }
    if (batch.mixed && this.#host.driver.batches) batch.group(this.#host.peer);
    return batch;
  }

  /** An empty batch; a large one where many are left for several peers, and it pays to bring them together. */
  #batchFor(many: boolean): Outbound {
    return many && this.#host.driver.batches ? Outbound.takeLarge() : Outbound.take();
  }

  #borrow(bulk: Bulk): Outbound {
    const { borrowed, owner } = bulk;
    const left = borrowed.count - bulk.next;
    const batch = this.#batchFor(borrowed.peers !== undefined && left > ordinary.datagrams);
    bulk.next = batch.fill(borrowed, bulk.next, owner);
    const [next, length] = [borrowed.payloads[bulk.next], borrowed.lengths[bulk.next]];
    if (next && length !== -1 && sizeOf(next) !== length) {
      const text = "the payload was resized or transferred away before it was sent";
      const error = failure("EFAULT", destinationOf(borrowed, bulk.next), this.#host.peer, { text });
      this.#host.failed(error);
      owner.failed(bulk.next++, error);
    }
    this.#queuedBytes += batch.bytes + batch.count * overheadBytes;
    return batch;
  }
}

/** Whether a driver can have settled so many of the datagrams that it has. */
function isCount(count: number, left: number): boolean {
  return Number.isInteger(count) && count >= 0 && count <= left;
}

function takeFrom(names: Map<string, Held[]> | undefined, name: string): readonly Held[] {
  const held = names?.get(name) ?? [];
  names?.delete(name);
  return held;
}
