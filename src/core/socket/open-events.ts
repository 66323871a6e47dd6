import { brokenContract } from "../driver/driver-errors.js";
import type { DriverEvents, LedgerEvent } from "../driver/driver.js";
import type { Warning } from "../ledger/reports.js";

/** What a socket does with the events of its driver. */
export interface DriverListener {
  driverReadable(): void;
  driverSettled(count: number): void;
  driverEvent(event: LedgerEvent): void;
  driverWarning(warning: Warning): void;
}

/** Passes the events of a driver to its socket. One object without closures, since each socket has one. */
export class OpenEvents implements DriverEvents {
  readonly #listener: DriverListener;
  /** Whether `Stack.open` has returned. */
  opened = false;

  constructor(listener: DriverListener) {
    this.#listener = listener;
  }

  readable(): void {
    this.#opened().driverReadable();
  }

  settled(count: number): void {
    this.#opened().driverSettled(count);
  }

  ledger(event: LedgerEvent): void {
    this.#opened().driverEvent(event);
  }

  warning(warning: Warning): void {
    this.#opened().driverWarning(warning);
  }

  #opened(): DriverListener {
    if (!this.opened) throw brokenContract("it reported something before it was open");
    return this.#listener;
  }
}
