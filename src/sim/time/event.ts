/** Something that happens at an instant of virtual time. */
export interface ScheduledEvent {
  /** Nanoseconds since the network began, whole. */
  readonly time: number;
  /** Orders what happens at one instant: links and hosts have ranks of their own, so that no run depends on who asked first. */
  readonly rank: number;
  /** Orders what has one rank. */
  readonly order: number;
  /** Whose it is, as an error names it when it never ends. */
  readonly owner?: string;
  /** Called off: it is passed over, and time does not go on for its sake. */
  readonly cancelled?: boolean;
  /** @returns whether a program was told of something, so that it must have its chance before time goes on. */
  fire(): boolean;
}

/** What the network schedules on. */
export interface Scheduler {
  /** Nanoseconds since the network began, whole. */
  readonly now: number;
  /** Lets it happen at its time, which is not past. */
  schedule(event: ScheduledEvent): void;
}

/** One that lets things be called off. */
export interface CancellableScheduler extends Scheduler {
  /** Calls off what `chosen` says `true` of. Asks about everything that waits, in no order. */
  cancelMatching(chosen: (event: ScheduledEvent) => boolean): void;
}

/** When the network began, in nanoseconds since the epoch: 1 January 2026, UTC, in every run. */
export const epochNs = 1_767_225_600_000_000_000n;

/** Nanoseconds of a millisecond: durations are in the one within, in the other before programs. */
export const nsPerMs = 1_000_000;

/** The longest duration that programs may ask for, a month in milliseconds: time is exact in nanoseconds up to 104 days. */
export const maxDurationMs: number = 31 * 24 * 3_600_000;
