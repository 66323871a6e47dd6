import { fstatSync, readFileSync, readlinkSync } from "node:fs";

import type { Family } from "../../core/address/address.js";
import { AF_INET, AF_INET6 } from "../../core/constants.js";
import { OSError } from "../../core/errors/errors.js";

/** The descriptors that sockets of this thread use. */
const adopted = new Set<number>();

/** An open UDP handle of Node, which the next socket that adopts its descriptor uses and closes. */
export interface LentHandle {
  readonly handle: object;
  /** Called if Node closes the socket of the handle: at `disconnect()` of a worker of `node:cluster`. */
  readonly closeAsked: () => void;
}

const lent = new Map<number, LentHandle>();

/** Lends a handle to the socket that adopts its descriptor. @returns a function that ends the loan, if no socket adopted it. */
export function lendHandle(handle: object & { readonly fd: number }, closeAsked: () => void): () => void {
  const { fd } = handle;
  lent.set(fd, { handle, closeAsked });
  return () => lent.delete(fd);
}

/** The handle of a descriptor, if one was lent. */
export function lentHandle(fd: number): LentHandle | undefined {
  return lent.get(fd);
}

/**
 * Claims a descriptor for a socket, after a check that it is a UDP socket of `family` that is bound and not connected.
 *
 * @throws `OSError` `EBADF`, `ENOTSOCK`, `EINVAL`, `EBUSY`; `ENOTSUP` if only the native driver can adopt it.
 */
export function claimDescriptor(fd: number, family: Family): void {
  // Node knows what its own handle is.
  const found = lent.has(fd) ? family : familyOfDescriptor(fd);
  if (found !== family)
    throw refusal("EINVAL", fd, `is no ${family === AF_INET ? "AF_INET" : "AF_INET6"} socket`);
  adopted.add(fd);
}

/** Forgets a descriptor, which was closed with its socket. */
export function releaseDescriptor(fd: number): void {
  adopted.delete(fd);
}

/** The family of the UDP socket of a descriptor. @throws as `claimDescriptor`. */
export function familyOfDescriptor(fd: number): Family {
  if (adopted.has(fd)) throw refusal("EBUSY", fd, "is a socket of this package already");
  let isSocket: boolean;
  try {
    isSocket = fstatSync(fd).isSocket();
  } catch {
    throw refusal("EBADF", fd, "is not open in this process");
  }
  if (!isSocket) throw refusal("ENOTSOCK", fd, "is not a socket");
  if (fd === 0) throw refusal("ENOTSUP", fd, "cannot be adopted by the dgram driver: the native driver can");
  const found = lookUp(fd);
  if (!found) {
    throw refusal(
      "EINVAL",
      fd,
      "is not a bound UDP socket (node:net adopts stream sockets, with listen({ fd }))",
    );
  }
  if (found.connected) {
    throw refusal(
      "ENOTSUP",
      fd,
      "is connected, and the dgram driver does not see its peer: the native driver does",
    );
  }
  return found.family;
}

/** Reads the family of a UDP socket from the system's tables (proc_net(5)), because `node:dgram` has no call for it. */
function lookUp(fd: number): { family: Family; connected: boolean } | undefined {
  for (const [family, table] of [
    [AF_INET, "udp"],
    [AF_INET6, "udp6"],
  ] as const) {
    let inode: string | undefined;
    let rows: string[];
    try {
      inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
      rows = readFileSync(`/proc/self/net/${table}`, "utf8").split("\n").slice(1);
    } catch (error) {
      const text = "cannot be checked: the dgram driver adopts descriptors on Linux only, with /proc";
      throw refusal("ENOTSUP", fd, text, error);
    }
    for (const row of rows) {
      const fields = row.trim().split(/\s+/);
      if (inode !== undefined && fields[9] === inode)
        return { family, connected: fields[2]?.endsWith(":0000") !== true };
    }
  }
  return undefined;
}

function refusal(code: string, fd: number, text: string, cause?: unknown): OSError {
  return new OSError(code, { syscall: "socket", text: `descriptor ${fd} ${text}`, cause });
}
