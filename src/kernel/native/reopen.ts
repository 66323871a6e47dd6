/** Replaces a bound socket of the kernel with a new one, and loses no datagram that arrives meanwhile. */

import type { Buffer } from "node:buffer";

import type { Endpoint } from "../../core/address/address.js";
import { int32 } from "../../core/driver/bytes.js";
import { SOL_SOCKET, SO_REUSEADDR } from "../../core/constants.js";
import type { Metadata } from "../../core/driver/metadata.js";
import type { Sink } from "../../core/driver/driver.js";
import type { Traffic } from "../../core/ledger/ledger.js";
import type { Handle } from "./addon.js";

/** The maximum number of calls that may fail while a socket is drained. Each reports one pending error. */
const maxErrors = 1000;

/**
 * Binds `fresh` to the name of `old`. Both have `SO_REUSEADDR` during the call, because the kernel reads it only in `bind`
 * (`udp_lib_get_port`, net/ipv4/udp.c). After the call, both have the value that `old` had.
 *
 * @returns 0, or a negative errno.
 */
export function bindBeside(old: Handle, fresh: Handle, name: Uint8Array): number {
  const before = new Uint8Array(4);
  const known = old.getOption(SOL_SOCKET, SO_REUSEADDR, before);
  if (known < 0) return known;
  for (const each of [old, fresh]) each.setOption(SOL_SOCKET, SO_REUSEADDR, int32(1));
  const result = fresh.bind(name);
  for (const each of [old, fresh]) each.setOption(SOL_SOCKET, SO_REUSEADDR, before);
  return result;
}

/** The datagrams that were unread in the old socket. They are passed on before the datagrams of the new one. */
export class Leftovers implements Sink {
  readonly #runs: (readonly [Buffer, Endpoint, number, Metadata | undefined])[] = [];

  /** Reads all waiting datagrams. `receive` returns whether there may be more. The socket must not receive new datagrams. */
  drain(receive: (sink: Sink) => boolean): void {
    for (let errors = 0; errors < maxErrors;) {
      try {
        if (!receive(this)) return;
      } catch {
        // The error is about the former peer, so no call fails with it.
        errors++;
      }
    }
  }

  push(data: Buffer, source: Endpoint, segment: number, metadata?: Metadata): void {
    this.#runs.push([data, source, segment, metadata]);
  }

  get empty(): boolean {
    return this.#runs.length === 0;
  }

  /** The datagrams that no call has received. */
  get unread(): Traffic {
    let [datagrams, bytes] = [0, 0];
    for (const [{ length }, , segment] of this.#runs) {
      datagrams += segment > 0 ? Math.ceil(length / segment) : 1;
      bytes += length;
    }
    return { datagrams, bytes };
  }

  handOver(sink: Sink): void {
    for (const run of this.#runs.splice(0)) sink.push(...run);
  }
}
