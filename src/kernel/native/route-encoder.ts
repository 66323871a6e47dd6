/** Where the datagrams of a send go, and with which control messages, as the addon reads them. */

import type { Endpoint } from "../../core/address/address.js";
import { scopeConflict, ignoredScope } from "../../core/address/scopes.js";
import { AF_INET6 } from "../../core/constants.js";
import { type Ancillary, leaveAlike } from "../../core/driver/ancillary.js";
import type { Outbound } from "../../core/driver/outbound.js";
import type { OSError } from "../../core/errors/errors.js";
import type { Addon } from "./addon.js";
import { controlOf } from "./control.js";
import { layout } from "./layout.js";
import type { Names } from "./socket-names.js";

const { datagrams: maxDatagrams } = layout.arrays;
const { bytes: nameBytes } = layout.name;
const { control: controlAt } = layout;
/** The slot of a datagram to the connected peer. */
const connectedSlot = -1;

/** Leaves every field as the socket has it. */
const noAncillary: Ancillary = {
  source: undefined,
  interface: undefined,
  ttl: undefined,
  tos: undefined,
  ecn: undefined,
  probe: false,
};

/** Writes the slots, names and control messages of sends into the memory that the addon shares. */
export class RouteEncoder {
  readonly #addon: Addon;
  readonly #names: Names;
  readonly #tosTo: (peer: Endpoint | null) => number;

  /** @param tosTo the TOS that the socket has for datagrams to a peer; `null` is the connected peer. */
  constructor(addon: Addon, names: Names, tosTo: (peer: Endpoint | null) => number) {
    this.#addon = addon;
    this.#names = names;
    this.#tosTo = tosTo;
  }

  /**
   * Encodes the routes of the datagrams of a batch from index `from` on, as many as one send takes.
   *
   * @param connected the connected peer.
   * @returns how many; 0 if the first one has failed because its route cannot be encoded.
   */
  encode(batch: Outbound, from: number, connected: Endpoint | undefined): number {
    const count = Math.min(batch.count - from, maxDatagrams);
    this.#names.startSend(count);
    if (batch.hasAncillary || (!batch.mixed && needsControl(batch.peer(from) ?? connected)))
      return this.#encodeEach(batch, from, count, connected);
    const { slots } = this.#addon.sendBatch;
    if (!batch.mixed) {
      const peer = batch.peer(from);
      slots.fill(peer ? this.#names.slotOf(peer) : connectedSlot, 0, count);
      return count;
    }
    for (let index = 0; index < count; index++) {
      const peer = batch.peer(from + index);
      if (needsControl(peer ?? connected)) return this.#encodeEach(batch, from, count, connected);
      slots[index] = peer ? this.#names.slotOf(peer) : connectedSlot;
    }
    return count;
  }

  /** Writes a name and control messages for each change of route. */
  #encodeEach(batch: Outbound, from: number, count: number, connected: Endpoint | undefined): number {
    const { slots } = this.#addon.sendBatch;
    let last: Endpoint | null = null;
    let lastAncillary: Ancillary | undefined;
    let used = 0;
    for (let index = 0; index < count; index++) {
      const peer = batch.peer(from + index);
      const ancillary = batch.ancillary(from + index);
      // A probe changes an option of the socket while it is sent, so it is sent alone.
      if (index > 0 && (ancillary?.probe === true || lastAncillary?.probe === true)) return index;
      if (index === 0 || !leaveAlike(ancillary, lastAncillary) || !writtenAlike(peer, last)) {
        last = peer;
        lastAncillary = ancillary;
        try {
          const to = peer ?? connected;
          this.#write(used++, peer, to ? this.#withScope(to, ancillary) : ancillary);
        } catch (error) {
          if (index === 0) batch.fail(from, error as OSError);
          return index;
        }
      }
      slots[index] = used - 1;
    }
    return count;
  }

  #write(slot: number, peer: Endpoint | null, ancillary: Ancillary | undefined): void {
    const { names, controls } = this.#addon.sendBatch;
    if (peer) this.#names.writeToSlot(slot, peer, "sendto");
    else names[(slot * nameBytes) / 4] = 0;
    const start = slot * controlAt.words;
    if (ancillary)
      controls.set(
        controlOf(ancillary, this.#names, "sendmsg", () => this.#tosTo(peer)),
        start,
      );
    else controls[start + controlAt.fields] = 0;
  }

  /**
   * How datagrams to `to` leave: with their own ancillary data, and by the interface of a scope that the kernel ignores.
   *
   * @throws `OSError` `ENODEV` for a scope that is no interface; `EINVAL` if the datagrams name another interface.
   */
  #withScope(to: Endpoint, ancillary: Ancillary | undefined): Ancillary | undefined {
    const { scope } = to;
    if (scope === undefined) return ancillary;
    const names = this.#names;
    names.write(to, "sendto");
    if (ancillary?.interface !== undefined) {
      const named = names.interfaceIndex(ancillary.interface, "sendmsg");
      if (named === names.interfaceIndex(scope, "sendmsg")) return ancillary;
      throw scopeConflict("sendmsg", to, `interface is ${ancillary.interface}`);
    }
    const by = ignoredScope(to);
    return by === undefined ? ancillary : { ...(ancillary ?? noAncillary), interface: by };
  }
}

/** Whether datagrams to `to` may need control messages: if it has a scope. */
function needsControl(to: Endpoint | undefined): boolean {
  return to?.family === AF_INET6 && to.scope !== undefined;
}

/** Whether both are written in the same way: two scopes of one host may be two interfaces. */
function writtenAlike(one: Endpoint | null, other: Endpoint | null): boolean {
  return one === other || (one?.port === other?.port && one?.host === other?.host);
}
