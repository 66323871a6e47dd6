import {
  Address,
  type AddressLike,
  type Endpoint,
  destinationOf,
  forFamily,
} from "../core/address/address.js";
import { OSError } from "../core/errors/errors.js";
import { isMulticast, parseLiteral } from "../core/ip.js";
import { engineOf } from "../core/socket/settings.js";
import type { Socket } from "../core/socket/socket.js";

/**
 * The destination of a message. A name is resolved.
 *
 * @throws `OSError` `EINVAL` for a group, a broadcast address and port 0; the errors of the resolver.
 */
export async function onePeer(socket: Socket, address: AddressLike, syscall: string): Promise<Endpoint> {
  const engine = engineOf(socket).open(syscall);
  const to = destinationOf(
    await engine.endpoint(forFamily(Address.from(address), socket.family, syscall), syscall),
  );
  const bytes = parseLiteral(to.host)?.bytes;
  const isGroup = bytes !== undefined && (isMulticast(bytes) || bytes.every((byte) => byte === 255));
  if (!isGroup && to.port !== 0) return to;
  const { host, port } = to;
  const text = isGroup ? "a message is for one peer, not for a group" : "port 0 is not a destination";
  throw new OSError("EINVAL", { syscall, address: host, port, text });
}
