import type { Ancillary } from "../../core/ancillary.js";
import { parseLiteral } from "../../core/ip.js";
import { howNumbers } from "./addon.js";
import type { Names } from "./names.js";

/** What a `How` of native/outbox.h names. */
const names = { source: 1, ttl: 2, tos: 4 } as const;
/** Where its source address lies, in bytes. */
const sourceBytes = 16;

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
  const { source, interface: at, ttl, ecn } = ancillary;
  const tos = ecn === undefined ? ancillary.tos : (socketTos() & 0xfc) | ecn;
  const how = new Int32Array(howNumbers);
  if (source !== undefined || at !== undefined) how[0] = names.source;
  if (at !== undefined) how[1] = known.interfaceIndex(at, syscall);
  if (ttl !== undefined) {
    how[0] = (how[0] ?? 0) | names.ttl;
    how[2] = ttl;
  }
  if (tos !== undefined) {
    how[0] = (how[0] ?? 0) | names.tos;
    how[3] = tos;
  }
  if (source !== undefined) {
    const bytes = parseLiteral(source.host)?.bytes ?? new Uint8Array();
    new Uint8Array(how.buffer).set(bytes, sourceBytes);
  }
  cache.set(ancillary, how);
  return how;
}
