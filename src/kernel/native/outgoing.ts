import type { Endpoint } from "../../core/address/address.js";
import { scopeConflict, wideScope } from "../../core/address/scopes.js";
import { type Ancillary, leaveAlike } from "../../core/driver/ancillary.js";
import type { OSError } from "../../core/errors/errors.js";
import type { Outbound } from "../../core/driver/outbound.js";
import type { Addon } from "./addon.js";
import { controlOf } from "./control.js";
import { layout } from "./layout.js";
import type { Names } from "./names.js";

const { datagrams: maxDatagrams } = layout.arrays;
const { bytes: nameBytes } = layout.name;
const { control: controlAt, datagram: at } = layout;

/** Names nothing. */
const asTheSocket: Ancillary = {
  source: undefined,
  interface: undefined,
  ttl: undefined,
  tos: undefined,
  ecn: undefined,
  probe: false,
};

/**
 * Writes the datagrams of a batch from `from` on where the addon reads them, as many as one send takes.
 *
 * @param connected the connected peer.
 * @param tosTo what datagrams to a peer have for their TOS, where they do not name it.
 * @returns how many; 0 when the first has failed, because its peer could not be written.
 */
export function describe(
  batch: Outbound,
  from: number,
  { sendBatch }: Addon,
  known: Names,
  connected: Endpoint | undefined,
  tosTo: (peer: Endpoint | null) => number,
): number {
  const { datagrams, names, controls } = sendBatch;
  const { starts, lengths, mixed, plain } = batch;
  const count = Math.min(batch.count - from, maxDatagrams);
  let peer = batch.peer(from);
  let last: Endpoint | null = null;
  let lastAncillary: Ancillary | undefined;
  let slot = -1;
  let slots = 0;
  for (let index = 0; index < count; index++) {
    if (mixed) peer = batch.peer(from + index);
    const ancillary = plain ? undefined : batch.ancillary(from + index);
    // A search of the path MTU changes the socket for as long as it takes to send one datagram.
    if (index > 0 && (ancillary?.probe === true || lastAncillary?.probe === true)) return index;
    if (index === 0 || !leaveAlike(ancillary, lastAncillary) || !writtenAlike(peer, last)) {
      last = peer;
      lastAncillary = ancillary;
      try {
        const to = peer ?? connected;
        const leaving = to ? withScope(to, ancillary, known) : ancillary;
        slot = peer || leaving ? slots++ : -1;
        if (slot >= 0) {
          if (peer) known.writeTo(names, slot, peer, "sendto");
          else names[(slot * nameBytes) / 4] = 0;
          if (leaving)
            controls.set(
              controlOf(leaving, known, "sendmsg", () => tosTo(peer)),
              slot * controlAt.words,
            );
          else controls[slot * controlAt.words + controlAt.fields] = 0;
        }
      } catch (error) {
        if (index === 0) batch.fail(from, error as OSError);
        return index;
      }
    }
    const start = index * at.words;
    datagrams[start + at.start] = starts[from + index] ?? 0;
    datagrams[start + at.length] = lengths[from + index] ?? 0;
    datagrams[start + at.peer] = slot;
  }
  return count;
}

/** To the letter: scopes of one host may be different ways to it. */
function writtenAlike(one: Endpoint | null, other: Endpoint | null): boolean {
  return one === other || (one?.port === other?.port && one?.host === other?.host);
}

/**
 * How datagrams to `to` leave: as they name it, and by the interface of a scope that the kernel does not read.
 *
 * @throws `OSError` `ENODEV` for a scope that is no interface; `EINVAL` where the datagrams name another interface.
 */
function withScope(to: Endpoint, ancillary: Ancillary | undefined, known: Names): Ancillary | undefined {
  const { scope } = to;
  if (scope === undefined) return ancillary;
  known.write(to, "sendto");
  if (ancillary?.interface !== undefined) {
    if (known.interfaceIndex(ancillary.interface, "sendmsg") === known.interfaceIndex(scope, "sendmsg"))
      return ancillary;
    throw scopeConflict("sendmsg", to, `interface is ${ancillary.interface}`);
  }
  const by = wideScope(to);
  return by === undefined ? ancillary : { ...(ancillary ?? asTheSocket), interface: by };
}
