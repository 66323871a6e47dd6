import { type Address, type Endpoint, type Family, isEndpoint } from "./address.js";
import { AF_INET } from "./constants.js";
import type { Clock, Driver } from "./driver.js";
import { OSError } from "./errors.js";
import { isMapped, parseLiteral } from "./ip.js";
import { type Completion, Outbound } from "./outbound.js";

/** Datagrams sent between two looks at the clock. */
const clockEvery = 64;
/** Milliseconds of sending before the rest of the program has its chance: awaited sends never leave the microtasks. */
const turnMs = 4;

/** Bytes that a waiting datagram counts for beside its payload, so that empty ones are bounded too. */
const overheadBytes = 64;
/** Room for more in the arena of a batch that begins behind a bulk or a barrier. */
const spareBytes = 512;
/** Half the cost of `queueMicrotask`, which makes an async resource each time. */
const resolved = Promise.resolve();

/** What the sender needs of its socket. */
export interface SenderHost {
  readonly driver: Driver;
  readonly clock: Clock;
  readonly family: Family;
  readonly peer: Endpoint | null;
  /** The addresses of a name. */
  resolve(host: string): Promise<Endpoint>;
  /** Whether `sent` wants to see payloads and peers. */
  readonly tapped: boolean;
  /** A datagram left. The payload is the sender's: copy what is to be kept. */
  sent(bytes: number, payload?: Uint8Array, peer?: Endpoint | null): void;
  failed(error: OSError): void;
}

/** One datagram of many. */
export interface Letter {
  readonly payload: Uint8Array;
  /** `null` is the connected peer. */
  readonly to: Address | null;
}

/** One datagram of a bulk. */
interface BulkItem {
  readonly payload: Uint8Array;
  /** The length of the payload when it was lent. */
  readonly bytes: number;
  readonly peer: Endpoint | null;
  readonly tag: number;
}

/** Many datagrams whose payloads are borrowed: copied into batches only as the driver takes them. */
interface Bulk {
  readonly items: readonly BulkItem[];
  readonly owner: Completion;
  next: number;
}

/** The sends between two barriers, and the barrier that ends them. */
interface Epoch {
  readonly queue: (Outbound | Bulk)[];
  /** Names whose addresses are still being looked up, by host. */
  readonly names: Map<string, Held[]>;
  barrier?: (() => Promise<void>) | undefined;
}

/** A datagram that waits for the address of its name. */
interface Held {
  readonly payload: Uint8Array;
  readonly port: number;
  readonly owner: Completion;
  readonly tag: number;
}

/**
 * The way out of a socket. Sends of one tick leave together; per destination the order of the calls holds; `bind`,
 * `connect` and `close` are barriers, which nothing overtakes.
 */
export class Sender {
  readonly #host: SenderHost;
  readonly #mostBytes: number;
  readonly #epochs: Epoch[] = [{ queue: [], names: new Map() }];
  #inFlight: Outbound | undefined;
  #atBarrier = false;
  readonly #flushSoon = (): void => this.#flush();
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
   * @returns the error that keeps it from being taken at all; `undefined` when `owner` will be told.
   */
  send(payload: Uint8Array, to: Address | null, owner: Completion, tag: number): OSError | undefined {
    const tooBig = this.#tooBig(payload.length, to);
    if (tooBig) return tooBig;
    const cost = payload.length + overheadBytes;
    if (this.#queuedBytes + cost > this.#mostBytes) {
      const text = `${this.#queuedBytes} bytes wait to be sent already: await the sends`;
      const full = failure("ENOBUFS", to, this.#host.peer, { text });
      this.#host.failed(full);
      return full;
    }
    this.#queuedBytes += cost;
    if (to !== null && !isEndpoint(to)) {
      this.#hold(to.host, { payload: new Uint8Array(payload), port: to.port, owner, tag });
    } else {
      this.#append(this.#lastEpoch, payload, to, owner, tag);
      if (this.#host.driver.batches) this.#schedule();
      else this.#flush();
    }
    return undefined;
  }

  /** Sends many, in order, with payloads that stay the caller's; `owner` is told of each by its position. */
  sendMany(letters: readonly Letter[], owner: Completion): void {
    const items: BulkItem[] = [];
    for (const [tag, { payload, to }] of letters.entries()) {
      if (to !== null && !isEndpoint(to)) {
        const refused = this.send(payload, to, owner, tag);
        if (refused) owner.settle(tag, refused);
        continue;
      }
      const tooBig = this.#tooBig(payload.length, to);
      if (tooBig) owner.settle(tag, tooBig);
      else items.push({ payload, bytes: payload.length, peer: to, tag });
    }
    if (items.length === 0) return;
    this.#lastEpoch.queue.push({ items, owner, next: 0 });
    this.#schedule();
  }

  /** Runs `act` when everything before it has left, and holds back what comes after until it is done. */
  barrier<T>(act: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#lastEpoch.barrier = () =>
        (this.#canceled ? Promise.reject(closedFirst()) : act()).then(resolve, reject);
      this.#epochs.push({ queue: [], names: new Map() });
      this.#flush();
    });
  }

  /** The driver has settled `count` more of the batch that it holds. */
  settled(count: number): void {
    const batch = this.#inFlight;
    if (!batch) return;
    this.#settle(batch, count);
    this.#flush();
  }

  /** The loop has turned. */
  turned(): void {
    this.#sinceClock = 0;
  }

  /** Fails what waits for a name; calls `done` when all the rest has left, at once where that is so already. */
  drain(done: () => void): void {
    for (const epoch of this.#epochs) {
      for (const name of epoch.names.keys()) {
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
    for (const [index, epoch] of this.#epochs.entries()) {
      while (epoch.queue.length > 0) this.#transmit(this.#nextBatch(epoch));
      if (index > 0 || !this.#atBarrier) void epoch.barrier?.();
    }
  }

  /** There is always one: a barrier begins the next before it ends its own. */
  get #firstEpoch(): Epoch {
    return this.#epochs[0] as Epoch;
  }

  get #lastEpoch(): Epoch {
    return this.#epochs[this.#epochs.length - 1] as Epoch;
  }

  #append(epoch: Epoch, payload: Uint8Array, to: Endpoint | null, owner: Completion, tag: number): void {
    const { queue } = epoch;
    const tail = queue[queue.length - 1];
    if (tail instanceof Outbound && tail.add(payload, to, owner, tag)) return;
    // What stands alone between bulks and barriers gets a small arena: of full ones, a few thousand would be 300 MB.
    const alone = tail ? !(tail instanceof Outbound) : epoch !== this.#firstEpoch;
    const batch = alone ? new Outbound(payload.length + spareBytes) : Outbound.take();
    batch.add(payload, to, owner, tag);
    queue.push(batch);
  }

  #hold(name: string, held: Held): void {
    const epoch = this.#lastEpoch;
    const waiting = epoch.names.get(name);
    if (waiting) {
      waiting.push(held);
      return;
    }
    epoch.names.set(name, [held]);
    this.#host.resolve(name).then(
      (found) => {
        for (const { payload, port, owner, tag } of takeFrom(epoch.names, name)) {
          const to = found.withPort(port) as Endpoint;
          const tooBig = this.#tooBig(payload.length, to);
          if (tooBig) {
            this.#queuedBytes -= payload.length + overheadBytes;
            owner.settle(tag, tooBig);
          } else this.#append(epoch, payload, to, owner, tag);
        }
        this.#flush();
      },
      (error: unknown) => {
        this.#failHeld(takeFrom(epoch.names, name), error as OSError);
        this.#flush();
      },
    );
  }

  #failHeld(held: readonly Held[], cause: OSError, text?: string): void {
    for (const { payload, port, owner, tag } of held) {
      const error = new OSError(cause.code, { syscall: "sendto", address: cause.address, port, cause, text });
      this.#queuedBytes -= payload.length + overheadBytes;
      this.#host.failed(error);
      owner.settle(tag, error);
    }
  }

  #tooBig(bytes: number, to: Address | null): OSError | undefined {
    if (bytes <= 65_507) return undefined;
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
    void resolved.then(this.#flushSoon);
  }

  #flush(): void {
    this.#scheduled = false;
    while (!this.#inFlight && !this.#atBarrier && !this.#resting) {
      const epoch = this.#firstEpoch;
      if (epoch.queue.length > 0) {
        const batch = this.#nextBatch(epoch);
        this.#sinceClock += batch.count;
        this.#transmit(batch);
        if (this.#sinceClock >= clockEvery) this.#maybeRest();
        continue;
      }
      if (epoch.names.size > 0) return;
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

  #run(barrier: () => Promise<void>): void {
    this.#atBarrier = true;
    void barrier().then(() => {
      this.#atBarrier = false;
      this.#epochs.shift();
      this.#flush();
    });
  }

  #transmit(batch: Outbound): void {
    this.#inFlight = batch;
    const count = this.#canceled ? batch.count : this.#host.driver.send(batch);
    this.#settle(batch, count);
  }

  /** Tells the owners of the next `count` datagrams, and lets go of the batch after its last. */
  #settle(batch: Outbound, count: number): void {
    const host = this.#host;
    for (let left = count; left > 0; left--) {
      const { settled: index, settledBytes: offset } = batch;
      const length = batch.length(index);
      const error = batch.settleNext(this.#canceled ? closedFirst() : undefined);
      if (error) host.failed(error);
      else if (!host.tapped) host.sent(length);
      else host.sent(length, batch.arena.subarray(offset, offset + length), batch.peers[index]);
    }
    if (batch.settled < batch.count) return;
    this.#inFlight = undefined;
    this.#queuedBytes -= batch.bytes + batch.count * overheadBytes;
    batch.release();
  }

  /** The next batch of an epoch, which has one; of a bulk, as much as one batch holds. */
  #nextBatch(epoch: Epoch): Outbound {
    const { queue } = epoch;
    const head = queue[0] as Outbound | Bulk;
    if (head instanceof Outbound) {
      if (queue.length === 1) queue.pop();
      else queue.shift();
      return head;
    }
    const batch = Outbound.take();
    for (; head.next < head.items.length; head.next++) {
      const { payload, bytes, peer, tag } = head.items[head.next] as BulkItem;
      if (payload.length !== bytes) {
        const text = "the payload was resized or transferred away before it was sent";
        const error = failure("EFAULT", peer, this.#host.peer, { text });
        this.#host.failed(error);
        head.owner.settle(tag, error);
      } else if (!batch.add(payload, peer, head.owner, tag)) break;
    }
    if (head.next === head.items.length) queue.shift();
    this.#queuedBytes += batch.bytes + batch.count * overheadBytes;
    return batch;
  }
}

/**
 * The error of a datagram that could not be sent.
 *
 * @param code such as `"EACCES"`, of the system call.
 * @param to `null` for the connected peer.
 * @param peer that peer, where there is one.
 */
export function failure(
  code: string,
  to: Address | null,
  peer: Address | null,
  details: { text?: string; limit?: number } = {},
): OSError {
  const { host: address, port } = to ?? peer ?? {};
  return new OSError(code, { ...details, syscall: to ? "sendto" : "send", address, port });
}

/**
 * The most payload bytes of a datagram: 65,535 less the UDP header, and less the IPv4 header where there is one
 * (RFC 768, RFC 791; an IPv6 length does not count its own header, RFC 8200).
 */
function payloadLimit(to: Address | null, family: Family): number {
  if (family === AF_INET) return 65_507;
  const literal = to && parseLiteral(to.host);
  return literal && isMapped(literal.bytes) ? 65_507 : 65_527;
}

function closedFirst(): OSError {
  return new OSError("ECANCELED", { syscall: "sendto", text: "the socket was closed first" });
}

function takeFrom(names: Map<string, Held[]>, name: string): readonly Held[] {
  const held = names.get(name) ?? [];
  names.delete(name);
  return held;
}
