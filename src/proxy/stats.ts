import type { Endpoint, Stats, Traffic } from "../index.js";
import type { RuleStats } from "./rules.js";

/** What became of the datagrams of one direction since the start. All but `received` and `delivered` are datagrams. */
export interface DirectionStats {
  /** Read from the sender's side. */
  readonly received: Traffic;
  /** Handed to the kernel for the other side, duplicates among them. */
  readonly delivered: Traffic;
  /** Lost by a rule. */
  readonly dropped: number;
  /** Held back by a rule. */
  readonly delayed: number;
  /** Lost by `lossRatio` or `gilbertElliott`. */
  readonly lost: number;
  /** Dropped because the queue of `queueBytes` before the rate was full. */
  readonly queueFull: number;
  /** Dropped because their packets would be larger than `mtuBytes`. */
  readonly tooBig: number;
  /** Second copies that were made. */
  readonly duplicated: number;
  /** Held back, so that those behind them overtake. */
  readonly reordered: number;
  /** Passed on with a bit flipped. */
  readonly corrupted: number;
  /** On their way now. */
  readonly inFlight: number;
  /** Dropped because as many as may be were on their way: `maxInFlight`, `maxInFlightBytes`. */
  readonly overflowed: number;
  /** Copies for the second and later targets; only in the direction "up". */
  readonly copied: number;
  /** Answers of the second and later targets, if only the first may answer; only in the direction "down". */
  readonly ignored: number;
  /** Came from clients above `maxClients`, or for whom no socket could be opened; of the direction "up" alone. */
  readonly refused: number;
  /**
   * Dropped because the relay itself had sent them: they came back from one of its own sockets, or through other relays of
   * this process. Only in the direction "up".
   */
  readonly looped: number;
  /** Not sent: the kernel refused them, which `RelayStats.errors` tells by code, or `close()` came first. */
  readonly unsent: number;
  /**
   * Came faster than they were read, and were dropped before the relay had them: at least so many, none of them in
   * `received`. `undefined` where the driver cannot tell.
   */
  readonly overrun: number | undefined;
  /** ICMP errors by code, `{ ECONNREFUSED: 2 }`: at least so many of those delivered did not arrive. */
  readonly unreachable: Readonly<Record<string, number>>;
}

/** What a relay has done so far. */
export interface RelayStats {
  /** From clients to the target. */
  readonly up: DirectionStats;
  /** From the target to clients. */
  readonly down: DirectionStats;
  readonly clients: ClientStats;
  /**
   * The most new clients in a row that began with the same datagram, while no target answered any. Many are the sign of
   * a loop: relays of other processes, or a NAT, that lead back to this one.
   */
  readonly alikeInRow: number;
  readonly targets: readonly TargetStats[];
  /** Of each rule that has not been removed, in their order. */
  readonly rules: readonly RuleStats[];
  /** Calls that the system refused, by code, such as `EMFILE` where no socket was left for a new client. */
  readonly errors: Readonly<Record<string, number>>;
}

/** How many clients there are and were. */
export interface ClientStats {
  readonly now: number;
  /** Since the start, those who came back after they had expired counted again. */
  readonly ever: number;
  /** Forgotten because nothing passed for `idleMs`. */
  readonly expired: number;
}

/** What became of a target. */
export interface TargetStats {
  /** As it was given: `camera.local:9000`. */
  readonly target: string;
  /** Where new clients are connected to. */
  readonly address: Endpoint;
  /** How often its name had another address than before. */
  readonly moves: number;
  /** Clients that moved, because the old address was gone. */
  readonly movedClients: number;
  /** Lookups without a usable answer: the old address stays. */
  readonly failures: number;
  /** What the last of them said. */
  readonly lastError: string | undefined;
  /** ICMP errors by code, as in `DirectionStats.unreachable`. */
  readonly unreachable: Readonly<Record<string, number>>;
  /** The address that the last of these were about. */
  readonly lastUnreachable: Endpoint | undefined;
}

/** Counts by name. */
export class Counts {
  readonly #counts = new Map<string, number>();

  add(name: string, times = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + times);
  }

  /** The counts now, frozen. */
  snapshot(): Readonly<Record<string, number>> {
    return Object.freeze(Object.fromEntries(this.#counts));
  }
}

/** What several sockets have received and sent. */
export class Tally {
  received: Traffic = { datagrams: 0, bytes: 0 };
  sent: Traffic = { datagrams: 0, bytes: 0 };
  overrun: number | undefined;

  /** @param counted whether what the kernel drops is counted. */
  constructor(counted: boolean) {
    if (counted) this.overrun = 0;
  }

  add({ received, sent, droppedKernel, droppedQueue }: Stats): void {
    this.received = together(this.received, received);
    this.sent = together(this.sent, sent);
    // A driver that does not hear of the kernel's drops may know of its own.
    if (droppedKernel !== undefined || droppedQueue > 0) {
      this.overrun = (this.overrun ?? 0) + (droppedKernel ?? 0) + droppedQueue;
    }
  }

  copy(): Tally {
    return Object.assign(new Tally(false), this);
  }
}

function together(one: Traffic, other: Traffic): Traffic {
  return Object.freeze({ datagrams: one.datagrams + other.datagrams, bytes: one.bytes + other.bytes });
}
