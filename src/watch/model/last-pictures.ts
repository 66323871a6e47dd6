import type { Buffer } from "node:buffer";

import type { DatagramRing } from "./datagram-ring.js";
import type { Peer } from "./peer.js";
import type { Pictures } from "./pictures.js";

/** Bytes of datagrams that are put together in one turn. */
const turnBytes = 65_536;
/** Datagrams that are put together in one turn. */
const turnDatagrams = 256;

/** The last whole picture of a peer. */
export interface LastPicture {
  readonly peer: number;
  readonly picture: Buffer;
}

/** The datagrams of one peer that are kept, by their positions, and which of them begin a picture. */
interface KeptOfPeer {
  /** The newest one comes first. */
  readonly positions: number[];
  /** Indexes of `positions`. */
  readonly begins: number[];
}

/**
 * Finds the last whole picture of each of some peers in the datagrams that are kept. It puts together the two pictures that began last:
 * mostly, the last one still arrives, and the one before is whole. Only if neither is whole, it takes the last 8, 32 and so on.
 *
 * It is done in turns, because the datagrams of pictures without an end may be all that are kept. Each value is the end of a turn: a
 * picture that was found, or `undefined`. Datagrams may be added between two turns.
 */
export function* findLastPictures(
  ring: DatagramRing,
  pictures: Pictures,
  ids: ReadonlySet<number>,
): Generator<LastPicture | undefined, void> {
  for (const [peer, kept] of keptOf(ring, ids)) {
    const picture = yield* lastOf(peer, kept, ring, pictures);
    yield picture && { peer: peer.id, picture };
  }
}

function keptOf(ring: DatagramRing, ids: ReadonlySet<number>): Map<Peer, KeptOfPeer> {
  const peers = new Map<Peer, KeptOfPeer>();
  if (ids.size === 0) return peers;
  for (let position = ring.count - 1; position >= ring.oldest; position--) {
    const peer = ring.peerAt(position);
    if (peer?.picture === undefined || !ids.has(peer.id)) continue;
    let kept = peers.get(peer);
    if (!kept) peers.set(peer, (kept = { positions: [], begins: [] }));
    if (ring.beginsPicture(position)) kept.begins.push(kept.positions.length);
    kept.positions.push(position);
  }
  return peers;
}

function* lastOf(
  peer: Peer,
  { positions, begins }: KeptOfPeer,
  ring: DatagramRing,
  pictures: Pictures,
): Generator<undefined, Buffer | undefined> {
  let [datagrams, bytes] = [0, 0];
  for (let count = 2; ; count *= 4) {
    // The first part of a picture may have come after others, so that the whole list is the last attempt.
    const from = count <= begins.length ? (begins[count - 1] as number) : positions.length - 1;
    const joiner = pictures.joiner(peer);
    for (let index = from; index >= 0; index--) {
      const kept = ring.at(positions[index] as number);
      if (kept?.direction !== "in") continue;
      joiner.push(kept.data);
      bytes += kept.size;
      if (++datagrams < turnDatagrams && bytes < turnBytes) continue;
      [datagrams, bytes] = [0, 0];
      yield undefined;
    }
    if (joiner.last !== undefined || count > begins.length) return joiner.last;
  }
}
