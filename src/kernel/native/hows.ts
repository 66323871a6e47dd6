import type { Ancillary } from "../../core/driver/ancillary.js";
import { parseLiteral } from "../../core/ip.js";
import { layout } from "./layout.js";
import type { Names } from "./names.js";

const { how: at, howNames: names } = layout;

const cache = new WeakMap<Ancillary, Int32Array>();

/**
 * How datagrams leave, as the addon takes it.
 *
 * @param socketTos reads what other datagrams there have, for one that names ECN alone.
 * @throws `OSError` `ENODEV` when no interface has the name that is given.
 */
export function howOf(
  ancillary: Ancillary,
  known: Names,
  syscall: string,
  socketTos: () => number,
): Int32Array {
  const made = cache.get(ancillary);
  if (made) return made;
  const { source, interface: by, ttl, ecn } = ancillary;
  const tos = ecn === undefined ? ancillary.tos : (socketTos() & 0xfc) | ecn;
  const how = new Int32Array(at.words);
  how[at.names] =
    (source !== undefined || by !== undefined ? names.source : 0) |
    (ttl !== undefined ? names.ttl : 0) |
    (tos !== undefined ? names.tos : 0);
  if (by !== undefined) how[at.interface] = known.interfaceIndex(by, syscall);
  if (ttl !== undefined) how[at.ttl] = ttl;
  if (tos !== undefined) how[at.tos] = tos;
  if (source !== undefined) {
    const bytes = parseLiteral(source.host)?.bytes ?? new Uint8Array();
    new Uint8Array(how.buffer).set(bytes, at.source * 4);
  }
  cache.set(ancillary, how);
  return how;
}
