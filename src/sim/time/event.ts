/** An event at an instant of virtual time, such as the arrival of a packet. */
export interface ScheduledEvent {
  /** Whole nanoseconds since the network began. */
  readonly time: number;
  /**
   * The first order among events at one instant. Each link direction and each host has its own rank, so that the order of calls
   * has no influence.
   */
  readonly rank: number;
  /** The order among events of one instant and one rank. */
  readonly order: number;
  /** Who scheduled the event, for the message of a run that does not end. */
  readonly owner?: string;
  /** Whether the event was cancelled: it does not fire, and time does not advance to it. */
  readonly cancelled?: boolean;
  /** @returns whether a program was called, so that it must run before time goes on. */
  fire(): boolean;
}

/** Virtual time, for the parts of a network that schedule events. */
export interface Scheduler {
  /** Whole nanoseconds since the network began. */
  readonly now: number;
  /** Fires the event at its time, which must not be past. */
  schedule(event: ScheduledEvent): void;
}

/** A scheduler whose events can be cancelled. */
export interface CancellableScheduler extends Scheduler {
  /** Cancels the events for which `chosen` returns `true`. Asks about all events that wait, in no particular order. */
  cancelMatching(chosen: (event: ScheduledEvent) => boolean): void;
}

/** When the network began, in nanoseconds since the epoch: 1 January 2026, UTC, in every run. */
export const epochNs = 1_767_225_600_000_000_000n;

/** Nanoseconds in a millisecond. Durations are in nanoseconds inside the simulator, and in milliseconds in its API. */
export const nsPerMs = 1_000_000;

/** The longest duration that programs may ask for, in milliseconds: 31 days. Time is exact in nanoseconds up to 104 days. */
export const maxDurationMs: number = 31 * 24 * 3_600_000;
