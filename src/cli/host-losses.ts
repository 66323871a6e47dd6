import type { Socket } from "../index.js";
import { HostLossWatch } from "../kernel/host-losses.js";
import { notice, noticeObject } from "./terminal.js";

/** Reports on standard error the losses that the host counted, except those of some sockets. */
export class HostLosses {
  readonly #watch: HostLossWatch;
  readonly #json: boolean;

  /** @param json whether each line is an object. */
  constructor(sockets: readonly Socket[], json: boolean) {
    this.#watch = new HostLossWatch(sockets);
    this.#json = json;
  }

  /** Reports each cause that was counted since the last call, on one line each. */
  report(): void {
    for (const { counters, failures, what, help } of this.#watch.take()) {
      if (this.#json) {
        const time = new Date().toISOString();
        noticeObject({ time, event: "host", counters, failures, help });
      } else notice(`this host, all sockets: ${what} (${counters.join(", ")}): ${help}`);
    }
  }

  /** Prints the counters that have increased, on one line. */
  summary(): void {
    const more = this.#watch.total();
    const increased = Object.entries(more ?? {}).filter(([, failures]) => failures);
    const text = increased.map(([counter, failures]) => `${counter} ${failures}`).join(", ");
    notice(`  this host, all sockets, meanwhile: ${more ? text || "no failures" : "unknown"}`);
  }
}
