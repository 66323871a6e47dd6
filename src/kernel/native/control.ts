import type { Ancillary } from "../../core/driver/ancillary.js";
import { parseLiteral } from "../../core/ip.js";
import { layout } from "./layout.js";
import type { Names } from "./socket-names.js";

const { control: at, controlFields: fields } = layout;

const cache = new WeakMap<Ancillary, Int32Array>();

/**
 * Encodes the ancillary data of a datagram as the control messages of the addon.
 *
 * @param socketTos reads the TOS of other datagrams to the same destination, for a datagram that sets only ECN.
 * @throws `OSError` `ENODEV` if no interface has the given name or number.
 */
export function controlOf(
  ancillary: Ancillary,
  known: Names,
  syscall: string,
  socketTos: () => number,
): Int32Array {
  const made = cache.get(ancillary);
  if (made) return made;
  const { source, interface: by, ttl, ecn } = ancillary;
  const tos = ecn === undefined ? ancillary.tos : (socketTos() & 0xfc) | ecn;
  const control = new Int32Array(at.words);
  control[at.fields] =
    (source !== undefined || by !== undefined ? fields.source : 0) |
    (ttl !== undefined ? fields.ttl : 0) |
    (tos !== undefined ? fields.tos : 0);
  if (by !== undefined) control[at.interface] = known.interfaceIndex(by, syscall);
  if (ttl !== undefined) control[at.ttl] = ttl;
  if (tos !== undefined) control[at.tos] = tos;
  if (source !== undefined) {
    const bytes = parseLiteral(source.host)?.bytes ?? new Uint8Array();
    new Uint8Array(control.buffer).set(bytes, at.source * 4);
  }
  cache.set(ancillary, control);
  return control;
}
