import type { Endpoint } from "../../core/address/address.js";
import type { LedgerEvent } from "../../core/driver/driver.js";
import { codeOf, meaningOf } from "../../core/errors/errno.js";
import type { Unreachable } from "../../core/ledger/reports.js";
import type { Addon } from "./addon.js";
import { layout } from "./layout.js";
import type { Names } from "./socket-names.js";
import { takePeerError, readErrorQueue } from "./error-queue.js";

/** The error of the next call about the connected peer. */
export interface PendingError {
  readonly errno: number;
  readonly code: string;
  /** The text of the ICMP error; `undefined` if it is not known. */
  readonly text: string | undefined;
}

/** The ICMP errors of one socket. Each is reported as an event. An error about the connected peer also fails the next call. */
export class IcmpErrors {
  readonly #addon: Addon;
  readonly #names: Names;
  readonly #report: (event: LedgerEvent) => void;
  #pending: PendingError | undefined;
  /** The last ICMP error about the connected peer, until a call fails with it. */
  #lastOfPeer: Unreachable | undefined;

  constructor(addon: Addon, names: Names, report: (event: LedgerEvent) => void) {
    this.#addon = addon;
    this.#names = names;
    this.#report = report;
  }

  /**
   * Reports the ICMP errors that the last call to the addon read.
   *
   * @param peer the connected peer.
   * @returns whether the next call about the peer must fail.
   */
  take(peer: Endpoint | undefined): boolean {
    if (this.#addon.errorQueue.numbers[layout.errorQueueHead.count] === 0) return false;
    for (const event of readErrorQueue(this.#addon, this.#names, peer)) {
      if (event.type === "unreachable" && peer && event.report.destination === peer)
        this.#lastOfPeer = event.report;
      this.#report(event);
    }
    const errno = takePeerError(this.#addon);
    if (errno === 0) return false;
    this.#pending = { errno, code: codeOf(errno), text: this.text() };
    return true;
  }

  /** Removes and returns the error that this call must fail with; `undefined` if there is none. */
  takePendingError(): PendingError | undefined {
    const pending = this.#pending;
    this.#pending = undefined;
    return pending;
  }

  /** Removes and returns the text of the last ICMP error about the connected peer; `undefined` if it is not known. */
  text(): string | undefined {
    const error = this.#lastOfPeer;
    this.#lastOfPeer = undefined;
    if (error?.kind === undefined) return undefined;
    const from = error.from === undefined ? "" : `, from ${error.from}`;
    return `${meaningOf(error.code).text}: ${error.kind}${from}`;
  }

  /** To be called when the peer changes: errors about the former peer fail no call. */
  forgetPeer(): void {
    this.#pending = this.#lastOfPeer = undefined;
  }
}
