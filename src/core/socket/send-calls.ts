/** How the send calls of a socket settle. */

import { assert } from "../assert.js";
import type { Completion } from "../driver/outbound.js";
import { type OSError, ofCall } from "../errors/errors.js";

/** A pending `sendto` or `send`. Its tag is the number of bytes that it resolves with. */
export class PendingSend implements Completion {
  readonly #resolve: (bytes: number) => void;
  readonly #reject: (error: OSError) => void;

  constructor(resolve: (bytes: number) => void, reject: (error: OSError) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  sent(bytes: number): void {
    this.#resolve(bytes);
  }

  failed(_bytes: number, error: OSError): void {
    this.#reject(error);
  }
}

/** A pending `sendMany`. Its tags are the positions of its datagrams. */
export class PendingSendMany implements Completion {
  readonly #count: number;
  readonly #resolve: (sent: number) => void;
  readonly #reject: (error: OSError) => void;
  #sent = 0;
  #failed = 0;
  #first: { index: number; error: OSError } | undefined;

  constructor(count: number, resolve: (sent: number) => void, reject: (error: OSError) => void) {
    this.#count = count;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  sent(_index: number, count: number): void {
    this.#sent += count;
    this.#maybeEnd();
  }

  failed(index: number, error: OSError): void {
    this.#failed++;
    if (!this.#first || index < this.#first.index) this.#first = { index, error };
    this.#maybeEnd();
  }

  #maybeEnd(): void {
    assert(this.#sent + this.#failed <= this.#count, "sendMany settles each datagram once");
    if (this.#sent + this.#failed < this.#count) return;
    if (this.#first) {
      const { error, index } = this.#first;
      this.#reject(Object.assign(ofCall(error, "sendMany"), { index, sent: this.#sent }));
    } else this.#resolve(this.#sent);
  }
}
