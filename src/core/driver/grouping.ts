/** The order of a batch in which the datagrams to one peer follow each other. */

import { type Endpoint, destinationNumber, maxDestinations, startNumbering } from "../address/address.js";

/** By destination number: the last batch that had the destination, and the group of the destination in it. */
const groupedBy = new Int32Array(maxDestinations);
const groupNumbers = new Int32Array(maxDestinations);
let groupings = 0;

/**
 * Returns the new index of each of the first `count` datagrams if those to one peer follow each other, in their order; `undefined`
 * if that would not make fewer runs.
 *
 * @param peers the peer of each datagram.
 * @param connected the peer that `null` stands for.
 */
export function placesByPeer(
  peers: readonly (Endpoint | null)[],
  count: number,
  connected: Endpoint | null,
): Int32Array | undefined {
  const groupOf = new Int32Array(count);
  groupings++;
  startNumbering();
  let [groups, switches, last] = [0, 0, 0];
  for (let index = 0; index < count; index++) {
    const peer = peers[index] ?? connected;
    const destination = peer ? destinationNumber(peer) : 0;
    if (groupedBy[destination] !== groupings) {
      groupedBy[destination] = groupings;
      groupNumbers[destination] = groups++;
    }
    const group = groupNumbers[destination] as number;
    groupOf[index] = group;
    if (index > 0 && group !== last) switches++;
    last = group;
  }
  return switches >= groups ? placesOf(groupOf, groups) : undefined;
}

/** The new index of each datagram if the groups follow each other. */
export function placesOf(groupOf: Int32Array, groups: number): Int32Array {
  const next = new Int32Array(groups + 1);
  for (const group of groupOf) next[group + 1] = (next[group + 1] ?? 0) + 1;
  for (let group = 1; group < groups; group++) next[group] = (next[group] ?? 0) + (next[group - 1] ?? 0);
  const places = new Int32Array(groupOf.length);
  for (let index = 0; index < places.length; index++) {
    const group = groupOf[index] ?? 0;
    const place = next[group] ?? 0;
    places[index] = place;
    next[group] = place + 1;
  }
  return places;
}
