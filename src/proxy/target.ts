import { isEndpoint } from "../core/address.js";
import {
  AF_INET,
  AF_INET6,
  type Address,
  type Endpoint,
  type Family,
  OSError,
  SOCK_DGRAM,
  type Socket,
  socket,
} from "../index.js";
import { ownAddresses } from "../kernel/own.js";

/**
 * The target with a literal for its host, once there is a way to it.
 *
 * @throws `OSError` as `connect` does; `EINVAL` where the target is the relay itself, whose address is `own`.
 */
export async function reach(target: Address, own: Endpoint): Promise<Endpoint> {
  const found = await tryToConnect(target);
  if (ownAddresses(own)(found)) {
    const text = "the target is the proxy itself, and what it sends there would never end";
    throw new OSError("EINVAL", { syscall: "proxy", address: found.host, port: found.port, text });
  }
  return found;
}

/** A socket for a target; it becomes its own by `connect`. @throws `OSError` `EMFILE`. */
export function socketFor(target: Endpoint): Socket {
  // How datagrams came to it, nobody asks: that leaves more time for more of them.
  return socket(target.family, SOCK_DGRAM, { metadata: false });
}

async function tryToConnect(target: Address): Promise<Endpoint> {
  const families: readonly Family[] = isEndpoint(target) ? [target.family] : [AF_INET, AF_INET6];
  let missing = new OSError("ENOTFOUND");
  for (const family of families) {
    await using s = socket(family, SOCK_DGRAM);
    try {
      await s.connect(target);
      return s.getpeername();
    } catch (error) {
      if (!(error instanceof OSError && error.code === "ENOTFOUND")) throw error;
      missing = error;
    }
  }
  throw missing;
}
