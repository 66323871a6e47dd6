import type { Buffer } from "node:buffer";

import type { ScheduledEvent } from "../sim/time/event.js";

/** A datagram that leaves at its time, and those of one time in their order. */
export class Departure<To> implements ScheduledEvent {
  readonly time: number;
  readonly rank = 0;
  readonly order: number;
  readonly data: Buffer;
  readonly to: To;
  readonly #leave: (departure: Departure<To>) => void;

  /** @param time in whole nanoseconds on the clock of the sockets. */
  constructor(time: number, order: number, data: Buffer, to: To, leave: (departure: Departure<To>) => void) {
    this.time = time;
    this.order = order;
    this.data = data;
    this.to = to;
    this.#leave = leave;
  }

  fire(): boolean {
    this.#leave(this);
    return false;
  }
}
