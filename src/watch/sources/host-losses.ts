import type { Socket } from "../../index.js";
import { HostLossWatch } from "../../kernel/host-losses.js";
import type { Model } from "../model/model.js";

/** Reports what this machine counted for all of its sockets: the kernel tells no socket of it. */
export class HostLosses {
  readonly #watch: HostLossWatch;
  readonly #model: Model;

  /** @param sockets whose own drops are not reported: their sources do it. */
  constructor(sockets: readonly Socket[], model: Model) {
    this.#watch = new HostLossWatch(sockets);
    this.#model = model;
  }

  /** Reports each cause that was counted since the last call. */
  report(atMs: number): void {
    for (const { counters, failures, what, help } of this.#watch.take()) {
      // The kernel counts datagrams that it merged as one.
      const atLeast = counters.includes("UdpRcvbufErrors");
      this.#model.lost({
        ...{ cause: "host", atMs, source: undefined, peer: undefined, datagrams: failures, atLeast },
        sentence: `On this machine, all sockets together: ${atLeast ? "at least " : ""}${what}.`,
        advice: `${help.slice(0, 1).toUpperCase()}${help.slice(1).replace(/sudo .*/, "`$&`")}.`,
      });
    }
  }
}
