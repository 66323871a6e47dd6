import type { Interface } from "../node/node.js";

/** What every host is in (RFC 1112 section 4, RFC 4291 section 2.7.1). */
const everybody: ReadonlySet<string> = new Set(["224.0.0.1", "ff01::1", "ff02::1"]);

/** The multicast groups that the sockets of one host are in, and on which interfaces. */
export class Groups {
  readonly #sockets = new Map<string, Set<object>>();

  /** @returns whether it was not in it yet. */
  join(socket: object, group: string, at: Interface): boolean {
    const key = keyOf(group, at);
    const sockets = this.#sockets.get(key) ?? new Set();
    if (sockets.has(socket)) return false;
    this.#sockets.set(key, sockets.add(socket));
    return true;
  }

  /** @returns whether it was in it. */
  leave(socket: object, group: string, at: Interface): boolean {
    return this.#remove(keyOf(group, at), socket);
  }

  /** A socket was closed. */
  leaveAll(socket: object): void {
    for (const key of [...this.#sockets.keys()]) this.#remove(key, socket);
  }

  /** Whether any socket of this host is in a group: then all that are bound to its port hear it (`IP_MULTICAST_ALL`, ip(7)). */
  has(group: string, at: Interface): boolean {
    return everybody.has(group) || this.#sockets.has(keyOf(group, at));
  }

  #remove(key: string, socket: object): boolean {
    const sockets = this.#sockets.get(key);
    const was = sockets?.delete(socket) ?? false;
    if (sockets?.size === 0) this.#sockets.delete(key);
    return was;
  }
}

function keyOf(group: string, at: Interface): string {
  return `${group}%${at.index}`;
}
