import { AF_INET, type Address, type Feature, type Family, type Socket, type SocketOptions, SOCK_DGRAM, socket } from "datagram";
import { test } from "vitest";

/**
 * What a contract test may touch: sockets of the driver under test, and addresses at which they reach each other.
 * Everything else about the driver stays out of the suite, so that it runs over any.
 */
export interface World {
  /** A socket that is closed when the test ends. */
  socket(family?: Family, options?: SocketOptions): Socket;
  /** A socket bound to a free port of this host. */
  bound(family?: Family, options?: SocketOptions): Promise<Socket>;
  /** An address where nobody listens: its port was free a moment ago. */
  nobody(family?: Family): Promise<Address>;
  /** This host, for `bind` and `sendto`. */
  readonly localhost: (family?: Family) => string;
}

/** One thing that must hold for every driver, or for each that has the capability `needs`. */
export function contract(name: string, body: (world: World) => Promise<void>, needs?: Feature): void {
  test(name, async ({ skip }) => {
    const sockets: Socket[] = [];
    const world = makeWorld(sockets);
    if (needs) {
      const capability = world.socket().capabilities[needs];
      if (!capability.available) skip(capability.reason);
    }
    try {
      await body(world);
    } finally {
      await Promise.all(sockets.map((each) => each.close()));
    }
  });
}

function makeWorld(sockets: Socket[]): World {
  const localhost = (family: Family = AF_INET): string => (family === AF_INET ? "127.0.0.1" : "::1");
  const open = (family: Family = AF_INET, options?: SocketOptions): Socket => {
    const opened = socket(family, SOCK_DGRAM, options);
    sockets.push(opened);
    return opened;
  };
  const bound = async (family?: Family, options?: SocketOptions): Promise<Socket> => {
    const opened = open(family, options);
    await opened.bind([localhost(family), 0]);
    return opened;
  };
  return {
    localhost,
    socket: open,
    bound,
    async nobody(family) {
      const gone = await bound(family);
      const address = gone.getsockname();
      await gone.close();
      return address;
    },
  };
}
