/** Counts the datagrams that leave in fragments. */

import type { Endpoint } from "../address/address.js";
import type { Outbound } from "../driver/outbound.js";

/** Bytes of payload that no path has to fragment: 576 less the longest headers (RFC 791). */
const unfragmentedBytes = 508;

/** What is known about the paths of a socket. */
interface Paths {
  readonly peer: Endpoint | null;
  /** Bytes of payload that go to `to` in one packet; `Infinity` if that is unknown, or if nothing may be fragmented. */
  wholeTo(to: Endpoint): number;
}

/** Whether a datagram of a batch may be longer than the MTU of its path. */
export function mayFragment(batch: Outbound): boolean {
  return batch.longest > unfragmentedBytes;
}

/** Learns the path MTUs that a batch needs before it is sent. A send may change them, and fragments are counted by those before. */
export function learnPaths(batch: Outbound, paths: Paths): void {
  let last: Endpoint | null | undefined;
  for (let index = 0; index < batch.count; index++) {
    const peer = batch.peer(index) ?? paths.peer;
    if (peer && peer !== last) paths.wholeTo(peer);
    last = peer;
    if (!batch.mixed) return;
  }
}

/** How many of the next `count` datagrams of a batch leave in fragments. */
export function countFragmented(batch: Outbound, count: number, paths: Paths): number {
  if (!batch.mixed) {
    const only = batch.peer(0) ?? paths.peer;
    if (!only || batch.longest <= paths.wholeTo(only)) return 0;
  }
  let fragmented = 0;
  let last: Endpoint | null | undefined;
  let whole = Infinity;
  for (let index = batch.settled; index < batch.settled + count; index++) {
    if (batch.length(index) <= unfragmentedBytes || batch.failed(index)) continue;
    const peer = batch.peer(index) ?? paths.peer;
    if (peer !== last) whole = peer ? paths.wholeTo(peer) : Infinity;
    last = peer;
    if (batch.length(index) > whole && !batch.ancillary(index)?.probe) fragmented++;
  }
  return fragmented;
}
