import type { Endpoint } from "../../core/address/address.js";
import type { LedgerEvent } from "../../core/driver/driver.js";
import { codeOf, meaningOf } from "../../core/errors/errno.js";
import type { Unreachable } from "../../core/ledger/reports.js";
import type { Addon } from "./addon.js";
import { layout } from "./layout.js";
import type { Names } from "./names.js";
import { takePeerError, readErrorQueue } from "./error-queue.js";

/** What the next call fails with. */
export interface PendingError {
  readonly errno: number;
  readonly code: string;
  /** What ICMP said; `undefined` where that is not known. */
  readonly text: string | undefined;
}

/** What ICMP told one socket: told on as events, and kept where it is the error of the next call. */
export class IcmpErrors {
  readonly #addon: Addon;
  readonly #names: Names;
  readonly #tell: (event: LedgerEvent) => void;
  #pending: PendingError | undefined;
  /** The last report about the connected peer, until an error is made of it. */
  #said: Unreachable | undefined;

  constructor(addon: Addon, names: Names, tell: (event: LedgerEvent) => void) {
    this.#addon = addon;
    this.#names = names;
    this.#tell = tell;
  }

  /**
   * Tells on what the last call to the addon was told. `peer` is the connected one.
   *
   * @returns whether the next call about the peer is to fail now.
   */
  take(peer: Endpoint | undefined): boolean {
    if (this.#addon.errorQueue.numbers[layout.errorQueueHead.count] === 0) return false;
    for (const event of readErrorQueue(this.#addon, this.#names, peer)) {
      if (event.type === "unreachable" && peer && event.report.destination === peer)
        this.#said = event.report;
      this.#tell(event);
    }
    const errno = takePeerError(this.#addon);
    if (errno === 0) return false;
    this.#pending = { errno, code: codeOf(errno), text: this.text() };
    return true;
  }

  /** What this call fails with, and no later one; `undefined` where it does not. */
  takePendingError(): PendingError | undefined {
    const refusal = this.#pending;
    this.#pending = undefined;
    return refusal;
  }

  /** What an error of the connected peer is called, where ICMP said it. */
  text(): string | undefined {
    const said = this.#said;
    this.#said = undefined;
    if (said?.kind === undefined) return undefined;
    const from = said.from === undefined ? "" : `, from ${said.from}`;
    return `${meaningOf(said.code).text}: ${said.kind}${from}`;
  }

  /** There is another peer now, or none: what was said of the one before fails no call. */
  forgetPeer(): void {
    this.#pending = this.#said = undefined;
  }
}
