import type { Endpoint, Stats, Traffic } from "../index.js";
import type { RuleStats } from "./rules.js";

/** The counts of one direction since the start. All but `received` and `delivered` count datagrams. */
export interface DirectionStats {
  /** Received from the sender. */
  readonly received: Traffic;
  /** Handed to the kernel for the receiver, including duplicates. */
  readonly delivered: Traffic;
  /** Dropped by a rule. */
  readonly dropped: number;
  /** Delayed by a rule. */
  readonly delayed: number;
  /** Lost by `lossRatio` or `gilbertElliott`. */
  readonly lost: number;
  /** Dropped because the queue of `queueBytes` before the rate was full. */
  readonly queueFull: number;
  /** Dropped because their packets would be larger than `mtuBytes`. */
  readonly tooBig: number;
  /** Second copies of datagrams. */
  readonly duplicated: number;
  /** Held back, so that later datagrams overtake them. */
  readonly reordered: number;
  /** Passed on with a bit flipped. */
  readonly corrupted: number;
  /** In flight now. */
  readonly inFlight: number;
  /** Dropped because of `maxInFlight` or `maxInFlightBytes`. */
  readonly overflowed: number;
  /** Copies for the second and later targets; only in the direction "up". */
  readonly copied: number;
  /** Answers of the second and later targets, if only the first may answer; only in the direction "down". */
  readonly ignored: number;
  /** Came from clients above `maxClients`, or no socket could be opened for the client; only in the direction "up". */
  readonly refused: number;
  /**
   * Dropped because the relay itself had sent them: they came back from one of its own sockets, or through other relays of
   * this process. Only in the direction "up".
   */
  readonly looped: number;
  /** Not sent: the kernel refused them (`RelayStats.errors` counts this by code), or `close()` came first. */
  readonly unsent: number;
  /**
   * Dropped before the relay read them, because they came too fast: at least this number. `received` does not count them.
   * `undefined` if the driver does not know.
   */
  readonly overrun: number | undefined;
  /** ICMP errors by code, `{ ECONNREFUSED: 2 }`: at least this number of the delivered datagrams did not arrive. */
  readonly unreachable: Readonly<Record<string, number>>;
}

/** The counts of a relay since the start. */
export interface RelayStats {
  /** From clients to the target. */
  readonly up: DirectionStats;
  /** From the target to clients. */
  readonly down: DirectionStats;
  /** The numbers of clients. */
  readonly clients: ClientStats;
  /**
   * The largest number of new clients in a row whose first datagram was the same, while no target answered. A large number
   * is the sign of a loop: relays of other processes, or a NAT, that lead back to this relay.
   */
  readonly alikeInRow: number;
  /** The counts of each target, in their order. */
  readonly targets: readonly TargetStats[];
  /** The counts of each rule that has not been removed, in their order. */
  readonly rules: readonly RuleStats[];
  /** Calls that the system refused, by code, such as `EMFILE` if no socket could be opened for a new client. */
  readonly errors: Readonly<Record<string, number>>;
}

/** The numbers of clients. */
export interface ClientStats {
  /** Clients that the relay serves now. */
  readonly now: number;
  /** Clients since the start. A client that came back after it had expired counts again. */
  readonly ever: number;
  /** Forgotten because no datagram passed for `idleMs`. */
  readonly expired: number;
}

/** The counts of a target. */
export interface TargetStats {
  /** The target as the program named it: `camera.local:9000`. */
  readonly target: string;
  /** The address that new clients are connected to. */
  readonly address: Endpoint;
  /** How often the address of its name changed. */
  readonly moves: number;
  /** Clients that were connected to a new address, because the old one was gone. */
  readonly movedClients: number;
  /** Lookups without a usable answer: the old address stays. */
  readonly failures: number;
  /** The message of the last failed lookup. */
  readonly lastError: string | undefined;
  /** ICMP errors by code, as in `DirectionStats.unreachable`. */
  readonly unreachable: Readonly<Record<string, number>>;
  /** The address that the last ICMP error was about. */
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

/** The sum of the counts of several sockets. */
export class Tally {
  received: Traffic = { datagrams: 0, bytes: 0 };
  sent: Traffic = { datagrams: 0, bytes: 0 };
  overrun: number | undefined;

  /** @param counted whether the kernel counts its drops. */
  constructor(counted: boolean) {
    if (counted) this.overrun = 0;
  }

  add({ received, sent, droppedKernel, droppedQueue }: Stats): void {
    this.received = together(this.received, received);
    this.sent = together(this.sent, sent);
    // A driver that does not know the drops of the kernel may have dropped datagrams itself.
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
