import { AF_INET } from "../../core/constants.js";
import { codeOf } from "../../core/errors/errno.js";
import { OSError } from "../../core/errors/errors.js";

/** By the error code of the addon: the reason why a descriptor cannot be a socket of this package. */
const reasons: Readonly<Record<string, readonly [code: string, text: string]>> = {
  EBADF: ["EBADF", "is not open in this process"],
  ENOTSOCK: ["ENOTSOCK", "is not a socket"],
  EPROTO: ["EINVAL", "is not a datagram socket: node:net adopts stream sockets, with listen({ fd })"],
  EPROTONOSUPPORT: ["EINVAL", "is a datagram socket, but not of UDP"],
  EBUSY: ["EBUSY", "is in use by this process already"],
};

/** Returns the error of a descriptor that the addon refused with `errno`. `family` is the requested family, if any. */
export function adoptionRefused(fd: number, errno: number, family?: number): OSError {
  const code = codeOf(errno);
  const [meant, text] = reasons[code] ?? [code === "EAFNOSUPPORT" ? "EINVAL" : code, wrongFamily(family)];
  return new OSError(meant, { syscall: "socket", text: `descriptor ${fd} ${text}` });
}

function wrongFamily(family: number | undefined): string {
  if (family === undefined) return "is a socket of neither IPv4 nor IPv6";
  return `is no ${family === AF_INET ? "AF_INET" : "AF_INET6"} socket`;
}
