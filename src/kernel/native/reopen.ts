/** Puts another socket of the kernel in the place of one that is bound, so that no arrival is lost in between. */

import type { Buffer } from "node:buffer";

import type { Endpoint } from "../../core/address/address.js";
import { int32 } from "../../core/driver/bytes.js";
import { SOL_SOCKET, SO_REUSEADDR } from "../../core/constants.js";
import type { Metadata } from "../../core/driver/metadata.js";
import type { Sink } from "../../core/driver/driver.js";
import type { Traffic } from "../../core/ledger/ledger.js";
import type { Handle } from "./addon.js";

/** Calls that may fail while a socket is drained: each reports one error that waited. */
const mostErrors = 1000;

/**
 * Binds `fresh` to the name that `old` has. Both say `SO_REUSEADDR` meanwhile, which the kernel reads at this moment alone
 * (`udp_lib_get_port`, net/ipv4/udp.c), and then what `old` said.
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

/** What a socket had received when it was closed, to be handed over first. */
export class Leftovers implements Sink {
  readonly #runs: (readonly [Buffer, Endpoint, number, Metadata | undefined])[] = [];

  /** Takes all that waits: `receive` says whether there is more. The socket must hear nothing new. */
  drain(receive: (sink: Sink) => boolean): void {
    for (let errors = 0; errors < mostErrors;) {
      try {
        if (!receive(this)) return;
      } catch {
        // An error of the peer that was: it fails no call now.
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

  /** What nobody has received. */
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
