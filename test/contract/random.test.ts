import { AF_INET, AF_INET6, OSError, type Socket, socket } from "datagram";
import fc from "fast-check";
import { expect } from "vitest";

import { type World, contract, turn } from "./world.js";

const seed = 20_240_717;
const runs = 10_000;

/** Addresses of this host or of no host, so that no datagram leaves the machine. */
const host = fc.constantFrom(
  ...["127.0.0.1", "127.0.0.2", "127.255.255.255", "::1", "::ffff:127.0.0.1", "localhost", ""],
  ...["two words", "127.0.0.1/8", "[::1]", "nul\0", "%lo", "fe80::1%", "x".repeat(254)],
);

const number = fc.oneof(fc.integer(), fc.double(), fc.constantFrom(-1, 1.5, 65_536, 2 ** 31, 2 ** 53));

const size = fc.oneof({ weight: 3, arbitrary: fc.nat(100) }, number);

/** Values of every type. None of the texts can be the name of a host. */
const junk: fc.Arbitrary<unknown> = fc.anything({
  key: fc.constantFrom("data", "port", "signal", "timeoutMs", "bufsize", "length", "0", "then"),
  values: [
    fc.constantFrom(undefined, null, true, false, "", "a b", "\0", "𝒳 𝒴", Symbol("x"), NaN, -0, 10n ** 30n),
    number,
    fc.uint8Array({ maxLength: 64 }),
    fc.float64Array({ maxLength: 8 }),
  ],
  withBigInt: true,
  withDate: true,
  withMap: true,
  withNullPrototype: true,
  withSet: true,
  withSparseArray: true,
  withTypedArray: true,
});

/** A port that no service has and that the kernel does not give to sockets of other tests. */
const port = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(0, 1, 2, 65_535) }, number, junk);

const address = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(host, port) },
  { weight: 3, arbitrary: fc.record({ address: host, port }) },
  fc.tuple(host, port, junk),
  fc.tuple(junk, port),
  junk,
);

const data = fc.oneof(
  { weight: 3, arbitrary: fc.string() },
  { weight: 3, arbitrary: fc.uint8Array() },
  fc.constant(Buffer.alloc(65_508)),
  fc.array(fc.string()),
  junk,
);

const wait = fc.oneof(
  fc.record({ signal: fc.constantFrom(AbortSignal.abort(), new AbortController().signal) }),
  fc.record({ timeoutMs: size }),
  fc.record({ bufsize: size }),
  junk,
);

const level = fc.oneof(fc.constantFrom(0, 1, 17, 41), number, junk);
const option = fc.oneof(fc.integer({ min: 0, max: 80 }), number, junk);
const value = fc.oneof(fc.constantFrom(0, 1, true, "lo", "127.0.0.1", "nosuch0"), number, junk);

const items = fc.oneof(
  fc.array(data, { maxLength: 5 }),
  fc.array(fc.record({ data, address }), { maxLength: 5 }),
  junk,
);
const group = fc.oneof(fc.constantFrom("239.255.0.1", "ff01::1234"), junk);
/** Never left out: the kernel would choose an interface to the outside. */
const at = fc.oneof(fc.constantFrom("lo", "127.0.0.1", "nosuch0", "", -1, 1.5, 2 ** 40, null, true, {}));

/** The calls, on a socket in some state. Most argument lists have a wrong value. */
type Call = readonly [method: string, args: readonly unknown[]];

const calls: fc.Arbitrary<Call> = fc.oneof(
  call("bind", address),
  call("connect", address),
  call("sendto", data, address),
  call("send", data),
  call("sendMany", items, address),
  call("sendMany", items),
  call("recvfrom", size, wait),
  call("recvfrom", junk, wait),
  call("recv", size, wait),
  call("recvmsg", wait),
  call("recvMany", size, wait),
  call("settimeout", fc.oneof(number, junk)),
  call("setblocking", junk),
  call("setsockopt", level, option, value),
  call("getsockopt", level, option),
  call("addMembership", group, at),
  call("dropMembership", group, at),
  call("tap", junk),
  call("socket", fc.oneof(fc.constantFrom(AF_INET, AF_INET6), junk), fc.oneof(fc.constant(2), junk), junk),
);

const states = {
  fresh: ({ socket: open }: World, family) => Promise.resolve(open(family)),
  bound: ({ bound }, family) => bound(family),
  connected: async ({ bound }, family) => {
    const s = await bound(family);
    await s.connect(s.getsockname());
    return s;
  },
  closed: async ({ socket: open }, family) => {
    const s = open(family);
    await s.close();
    return s;
  },
} satisfies Record<string, (world: World, family: typeof AF_INET | typeof AF_INET6) => Promise<Socket>>;

// semantics: error-codes
contract(`${runs} random calls (seed ${seed}) succeed or fail with a code, and none hangs`, async (world) => {
  const outcomes = new Map<string, number>();
  const state = fc.constantFrom(...Object.values(states));
  const run = fc.asyncProperty(
    state,
    fc.constantFrom(AF_INET, AF_INET6),
    calls,
    async (make, family, [method, args]) => {
      const s = await make(world, family);
      const settled = settle(() =>
        method === "socket"
          ? close(socket(...(args as [])))
          : (s[method as keyof Socket] as (...args: unknown[]) => unknown)(...args),
      );
      await turn(s);
      // Calls that still wait now wait for a datagram: closing must end them.
      await s.close();
      const outcome = await settled;
      // Calls of `expect` for each run would take a tenth of the time.
      if (!/^(fine|aborted|E\w+)$/.test(outcome)) expect.fail(`${method}: ${outcome}`);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    },
  );
  await fc.assert(run, { seed, numRuns: runs });
  expect([...outcomes.values()].reduce((sum, count) => sum + count, 0)).toBe(runs);
  // Some calls must succeed and some must fail.
  for (const outcome of [
    "fine",
    "ERR_INVALID_ARG_TYPE",
    "ERR_OUT_OF_RANGE",
    "EBADF",
    "ECANCELED",
    "EINVAL",
  ]) {
    expect(outcomes.get(outcome) ?? 0, outcome).toBeGreaterThan(10);
  }
});

function call(method: string, ...args: fc.Arbitrary<unknown>[]): fc.Arbitrary<Call> {
  // Sometimes an argument is missing, or there is one too many.
  const list = fc
    .tuple(...args)
    .chain((all) => fc.constantFrom(all, all, all, all.slice(0, -1), [...all, {}]));
  const kept = method.endsWith("Membership") ? fc.tuple(...args) : list;
  return kept.map((each) => [method, each] as const);
}

/** `"fine"`, or the code of the error. For an error without a code of ours, a text that says what is wrong. */
async function settle(act: () => unknown): Promise<string> {
  try {
    await act();
    return "fine";
  } catch (error) {
    // The reason of an aborted signal may be any value of the caller.
    if (error instanceof DOMException && error.name === "AbortError") return "aborted";
    const known = error instanceof OSError || error instanceof TypeError || error instanceof RangeError;
    const { code } = error as { code?: unknown };
    return known && typeof code === "string" && /^E[A-Z]/.test(code)
      ? code
      : `without a code: ${String(error)}`;
  }
}

async function close(opened: Socket): Promise<void> {
  await opened.close();
}
