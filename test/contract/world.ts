import {
  AF_INET,
  AF_INET6,
  type Address,
  type Family,
  type Feature,
  OSError,
  SOCK_DGRAM,
  type Socket,
  type SocketEvents,
  type SocketOptions,
  socket,
} from "datagram";
import { type TestContext, expect, test, vi } from "vitest";

import { unusedPort } from "../ports.js";

/**
 * The objects that a contract test may use: sockets of the driver under test, and addresses that they reach.
 * The suite uses nothing else of a driver, so that it runs over every driver.
 */
export interface World {
  /** A socket that is closed when the test ends. */
  socket(family?: Family, options?: SocketOptions): Socket;
  /** A socket bound to a free port of this host. */
  bound(family?: Family, options?: SocketOptions): Promise<Socket>;
  /** An address where nobody listens. */
  nobody(family?: Family): Promise<Address>;
  /** This host, for `bind` and `sendto`. */
  readonly localhost: (family?: Family) => string;
  /** Two more IPv4 addresses of this host, on `loopback`. */
  readonly moreHosts: readonly [string, string];
  /** The IPv4 broadcast address that reaches this host and no other. */
  readonly broadcast: string;
  /** The name of the interface that `localhost` is on. */
  readonly loopback: string;
  /** Settles as `call` does, or skips the test if this host has no route to the destination. */
  needsRoute(call: Promise<unknown>): Promise<void>;
  /** An address that no host has (RFC 5737, RFC 3849). */
  readonly elsewhere: (family?: Family) => string;
}

/** Both families, for tests that hold for each. */
export const families = [
  ["IPv4", AF_INET],
  ["IPv6", AF_INET6],
] as const;

/** An IPv4 address in the form of IPv6 sockets (RFC 4291, section 2.5.5.2). */
export function mapped(host: string): string {
  return `::ffff:${host}`;
}

/** The timeout for a datagram that must come: enough for the slowest machine, so that a loss has a clear error. */
export const soon = { timeoutMs: 5_000 } as const;

/**
 * Declares a test that must hold for every driver.
 *
 * @param needs the feature that a driver must have for the test, or must lack.
 */
export function contract(
  name: string,
  body: (world: World) => Promise<void> | void,
  needs?: Feature | `no ${Feature}`,
): void {
  test(name, async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    await around(async () => {
      const sockets: Socket[] = [];
      const world = makeWorld(sockets, skip);
      try {
        if (needs) skipUnless(needs, world.socket(), skip);
        await body(world);
      } finally {
        await Promise.all(sockets.map((each) => each.close()));
      }
    });
  });
}

let around = (run: () => Promise<void>): Promise<void> => run();

/** Runs each test within `wrapper`, for a driver that needs an environment besides the process. */
export function runWithin(wrapper: typeof around): void {
  around = wrapper;
}

/** Why the driver under test is unavailable here, such as `native` without a compiler. Tests fail if it is required. */
function whyMissing(): string | undefined {
  if (process.env.DATAGRAM_REQUIRE_ALL === "1") return undefined;
  try {
    void socket().close();
    return undefined;
  } catch (error) {
    if (error instanceof OSError && error.code === "ENOTSUP") return error.message;
    throw error;
  }
}

const missing = whyMissing();

/** Resolves after the driver had the chance to notice all datagrams that have arrived. */
export function turn({ clock }: Socket): Promise<void> {
  return new Promise((resolve) => clock.turn(resolve));
}

/** Resolves after `ms` milliseconds of the socket's time. */
export function pause({ clock }: Socket, ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(ms, resolve));
}

/** Keeps the program busy for `ms` milliseconds of the socket's time. Returns at once in virtual time. */
export function compute({ clock }: Socket, ms: number): void {
  const until = clock.now() + ms;
  const [before, real] = [clock.now(), 100_000];
  for (let looks = 0; clock.now() < until && (looks < real || clock.now() > before); looks++) continue;
}

/**
 * Runs `body` as if the machine stopped the program for 10 ms before each look at the socket's clock: a time limit of the
 * package ends what it limits as early as it ever can.
 */
export async function withStops({ clock }: Socket, body: () => Promise<void>): Promise<void> {
  const now = clock.now.bind(clock);
  let stoppedMs = 0;
  const spy = vi.spyOn(clock, "now").mockImplementation(() => now() + (stoppedMs += 10));
  try {
    await body();
  } finally {
    spy.mockRestore();
  }
}

/** The next event of a kind. It must come soon. */
export function event<E extends keyof SocketEvents>(of: Socket, name: E): Promise<SocketEvents[E][0]> {
  return new Promise((resolve, reject) => {
    const none = new Error(`no event "${name}" in ${soon.timeoutMs} ms`);
    const cancel = of.clock.after(soon.timeoutMs, () => reject(none));
    of.once(name, (message: SocketEvents[E][0]) => {
      cancel();
      resolve(message);
    });
  });
}

/** The next `count` payloads, as text. */
export async function texts(from: Socket, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) found.push((await from.recvmsg(soon)).data.toString());
  return found;
}

/** The texts `<name>0`, `<name>1` and so on. */
export function numbered(count: number, name = ""): string[] {
  return Array.from({ length: count }, (_, index) => `${name}${index}`);
}

/** The error of a call that must fail with an `OSError`. */
export async function failure(call: Promise<unknown>): Promise<OSError> {
  const outcome: unknown = await call.then(
    () => "it succeeded",
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(OSError);
  return outcome as OSError;
}

type Skip = TestContext["skip"];

function skipUnless(needs: Feature | `no ${Feature}`, { capabilities }: Socket, skip: Skip): void {
  const without = needs.startsWith("no ");
  const capability = capabilities[(without ? needs.slice(3) : needs) as Feature];
  if (without && capability.available) skip("this driver has the feature");
  if (!without && !capability.available) skip(capability.reason);
}

function makeWorld(sockets: Socket[], skip: Skip): World {
  const localhost = (family: Family = AF_INET): string => (family === AF_INET ? "127.0.0.1" : "::1");
  const open = (family: Family = AF_INET, options?: SocketOptions): Socket => {
    const opened = socket(family, SOCK_DGRAM, options);
    sockets.push(opened);
    return opened;
  };
  const bound = async (family?: Family, options?: SocketOptions, port = 0): Promise<Socket> => {
    const opened = open(family, options);
    try {
      await opened.bind([localhost(family), port]);
    } catch (error) {
      if (family === AF_INET6 && (error as OSError).code === "EADDRNOTAVAIL") skip("this host has no IPv6");
      throw error;
    }
    return opened;
  };
  return {
    localhost,
    moreHosts: ["127.0.0.2", "127.0.0.3"],
    broadcast: "127.255.255.255",
    loopback: "lo",
    elsewhere: (family = AF_INET) => (family === AF_INET ? "198.51.100.1" : "2001:db8::1"),
    socket: open,
    bound,
    async needsRoute(call) {
      try {
        await call;
      } catch (error) {
        if ((error as OSError).code === "ENETUNREACH") skip("this host has no route there");
        throw error;
      }
    },
    async nobody(family) {
      const gone = await bound(family, undefined, unusedPort());
      const address = gone.getsockname();
      await gone.close();
      return address;
    },
  };
}
