import { AF_INET, AF_INET6, type Family, type Socket, TimeoutError } from "datagram";
import { type PathMtuProbe, probePathMtu } from "datagram/message";
import { expect } from "vitest";

import { type World, contract, failure, families, pause } from "./world.js";

/** Long enough for an answer on this host, and short because many probes get no answer. */
const quick = { timeoutMs: 50 } as const;
/** So long that a search that waits until its end fails the test. */
const patient = { timeoutMs: 60_000 } as const;

/** A peer that passes each datagram to `hear`, until its socket is closed. */
async function peer(
  world: World,
  hear: (data: Buffer, peer: Peer) => void,
  family: Family = AF_INET,
): Promise<Peer> {
  const s = await world.bound(family);
  const self: Peer = { s, answer: () => undefined };
  void (async () => {
    for await (const datagram of s) {
      self.answer = (data) => void datagram.reply(data).catch(() => undefined);
      hear(datagram.data, self);
    }
  })();
  return self;
}

interface Peer {
  readonly s: Socket;
  /** Answers the last received datagram. */
  answer: (data: Buffer | string) => void;
}

/** A peer after a black hole: it receives datagrams up to a size, and answers them. */
function beyond(world: World, mostBytes: () => number, text?: string): Promise<Peer> {
  return peer(world, (data, { answer }) => {
    if (data.length <= mostBytes()) answer(text ?? data);
  });
}

for (const [name, family] of families) {
  for (const [kind, text] of [
    ["echoes", undefined],
    ["answers", "ok"],
  ] as const) {
    // semantics: search
    contract(
      `a search to a peer on this host that ${kind}, over ${name}, finds the kernel's value`,
      async (world) => {
        const { s: at } = await peer(world, (data, { answer }) => answer(text ?? data), family);
        const s = world.socket(family);
        const result = await probePathMtu(s, at.getsockname());
        expect(result).toMatchObject({
          maxPayload: s.maxPayload(at.getsockname()),
          overhead: name === "IPv4" ? 28 : 48,
          mtu: result.maxPayload + result.overhead,
          probes: 3,
          lost: 0,
          blackHole: false,
          ignored: 0,
        });
        expect(result.rttMs).toBeGreaterThan(0);
      },
      "pathMtu",
    );
  }
}

for (const [family, host] of [
  [AF_INET, "0.0.0.0"],
  [AF_INET6, "::"],
  [AF_INET6, "::ffff:0.0.0.0"],
  [AF_INET6, "::ffff:127.0.0.1"],
] as const) {
  // semantics: address-equality
  contract(
    `the answers of a peer that is asked by ${host} count`,
    async (world) => {
      const at = world.socket(AF_INET6);
      await at.bind(["", 0]);
      void (async () => {
        for await (const datagram of at) await datagram.reply(datagram.data);
      })();
      const { lost, ignored } = await probePathMtu(world.socket(family), [host, at.getsockname().port]);
      expect({ lost, ignored }).toEqual({ lost: 0, ignored: 0 });
    },
    "pathMtu",
  );
}

for (const mostBytes of [1471, 1391, 700]) {
  for (const [kind, text] of [
    ["echoes", undefined],
    ["answers", "ok"],
  ] as const) {
    // semantics: search
    contract(
      `with a black hole above ${mostBytes} bytes, a peer that ${kind}: finds that size, to the byte, with at most 3 probes of a size`,
      async (world) => {
        const { s: at } = await beyond(world, () => mostBytes, text);
        const probes: PathMtuProbe[] = [];
        const onProbe = (probe: PathMtuProbe): void => void probes.push(probe);
        const result = await probePathMtu(world.socket(), at.getsockname(), { ...quick, onProbe });
        expect(result).toMatchObject({ maxPayload: mostBytes, blackHole: true });
        expect(result.probes).toBe(probes.filter((probe) => !("late" in probe && probe.late)).length);
        expect(Math.max(...probes.map(({ attempt }) => attempt))).toBe(3);
        expect(probes.filter(({ size, outcome }) => size > mostBytes && outcome === "answered")).toEqual([]);
      },
      "pathMtu",
    );
  }
}

// semantics: search-vanishes
contract(
  "a size that no longer arrives at the end is searched again, and reported as a black hole",
  async (world) => {
    let refused = 0;
    const { s: at } = await peer(world, (data, { answer }) => {
      if (data.length === 1392) refused++;
      if (data.length <= (refused < 3 ? 1391 : 1300)) answer(data);
    });
    const result = await probePathMtu(world.socket(), at.getsockname(), quick);
    expect(result).toMatchObject({ maxPayload: 1300, mtu: 1328, blackHole: true });
  },
  "pathMtu",
);

// semantics: search-vanishes
contract(
  "a path that carries each large size only once ends with the base, after a limited search",
  async (world) => {
    const before = new Set<number>();
    const { s: at } = await peer(world, (data, { answer }) => {
      if (data.length <= 1200 || (data.length <= 1300 && !before.has(data.length))) answer(data);
      before.add(data.length);
    });
    const bases: number[] = [];
    const onProbe = ({ size }: PathMtuProbe): void => {
      if (size === 1200) bases.push(size);
    };
    const result = await probePathMtu(world.socket(), at.getsockname(), { ...quick, onProbe });
    expect(result).toMatchObject({ maxPayload: 1200, blackHole: true });
    // The first search and three repeated ones.
    expect(bases).toHaveLength(4);
  },
  "pathMtu",
);

// semantics: search-lost
contract(
  "two lost probes of each size change nothing",
  async (world) => {
    const times = new Map<number, number>();
    const { s: at } = await peer(world, (data, { answer }) => {
      const count = (times.get(data.length) ?? 0) + 1;
      times.set(data.length, count);
      if (count % 3 === 0) answer(data);
    });
    const result = await probePathMtu(world.socket(), at.getsockname(), quick);
    expect(result).toMatchObject({ maxPayload: 65_507, probes: 9, lost: 6, blackHole: false });
  },
  "pathMtu",
);

// semantics: search-lost
contract(
  "a late echo is not a loss, and is reported twice",
  async (world) => {
    const { s: at } = await peer(world, (data, { s: each, answer }) => {
      void pause(each, 150).then(() => answer(data));
    });
    const probes: PathMtuProbe[] = [];
    const onProbe = (probe: PathMtuProbe): void => void probes.push(probe);
    const result = await probePathMtu(world.socket(), at.getsockname(), { timeoutMs: 50, onProbe });
    expect(result).toMatchObject({ maxPayload: 65_507, blackHole: false });
    expect(result.rttMs).toBeGreaterThanOrEqual(145);
    expect(probes[0]).toEqual({ size: 1200, attempt: 1, outcome: "lost" });
    const late = probes.filter((probe) => probe.outcome === "answered" && probe.late);
    expect(late[0]).toMatchObject({ size: 1200, attempt: 1 });
  },
  "pathMtu",
);

// semantics: search-lost
contract(
  "late answers of a peer without echo confirm no larger size",
  async (world) => {
    let heard = 0;
    const { s: at } = await peer(world, (data, { s: each, answer }) => {
      if (data.length > 1391) return;
      if (++heard > 2) answer("ok");
      else void pause(each, 300).then(() => answer("late"));
    });
    const sizes: number[] = [];
    const onProbe = ({ size, outcome }: PathMtuProbe): void => {
      if (outcome === "answered") sizes.push(size);
    };
    const result = await probePathMtu(world.socket(), at.getsockname(), { timeoutMs: 200, onProbe });
    expect(Math.max(...sizes)).toBe(1391);
    expect(result).toMatchObject({ maxPayload: 1391 });
  },
  "pathMtu",
);

// semantics: search-others
contract(
  "datagrams from other senders are ignored and counted, also a copy of the probe",
  async (world) => {
    const s = world.socket();
    const stranger = await world.bound();
    const heard: Promise<unknown>[] = [];
    const { s: at } = await peer(world, (data, { answer }) => {
      if (data.length > 1300) {
        heard.push(stranger.sendto(data.subarray(0, 64), ["127.0.0.1", s.getsockname().port]));
      } else answer(data);
    });
    const result = await probePathMtu(s, at.getsockname(), quick);
    expect(result).toMatchObject({ maxPayload: 1300, blackHole: true, ignored: heard.length });
    expect(heard.length).toBeGreaterThanOrEqual(3);
  },
  "pathMtu",
);

// semantics: search-others
contract(
  "an earlier datagram of the peer is not an answer",
  async (world) => {
    const s = await world.bound();
    const silent = await world.bound();
    await silent.sendto("long ago", s.getsockname());
    const outcomes: string[] = [];
    const onProbe = ({ outcome }: PathMtuProbe): void => void outcomes.push(outcome);
    const error = await failure(probePathMtu(s, silent.getsockname(), { timeoutMs: 20, onProbe }));
    expect(error.code).toBe("ETIMEDOUT");
    expect(new Set(outcomes)).toEqual(new Set(["lost"]));
  },
  "pathMtu",
);

for (const [name, family] of families) {
  // semantics: search-nobody
  contract(
    `if nobody listens over ${name}, the search ends at once with the ICMP error`,
    async (world) => {
      const { host, port } = await world.nobody(family);
      const s = world.socket(family);
      const error = await failure(probePathMtu(s, [host, port], patient));
      expect(error).toMatchObject({ code: "ECONNREFUSED", syscall: "probePathMtu", address: host, port });
      expect(error.message).toContain(`nobody is listening there (port unreachable, from ${host})`);
      expect(s.listenerCount("unreachable") + s.listenerCount("pathMtu")).toBe(0);
    },
    "pathMtu",
  );
}

// semantics: search-others
contract(
  "an ICMP error about another destination does not end a search",
  async (world) => {
    const s = world.socket();
    const nobody = await world.nobody();
    const { s: at } = await peer(world, (data, { answer }) => {
      void s.sendto("anybody?", nobody).then(() => answer(data));
    });
    const result = await probePathMtu(s, at.getsockname());
    expect(result).toMatchObject({ maxPayload: 65_507, lost: 0 });
  },
  "pathMtu",
);

// semantics: search-nobody
contract(
  "a search with a connected socket works, and ends at once if nobody listens",
  async (world) => {
    const { s: at } = await peer(world, (data, { answer }) => answer(data));
    const s = world.socket();
    const to = at.getsockname();
    await s.connect(to);
    expect(await probePathMtu(s, to)).toMatchObject({ maxPayload: 65_507 });
    await at.close();
    const error = await failure(probePathMtu(s, to, patient));
    expect(error.code).toBe("ECONNREFUSED");
  },
  "pathMtu",
);

// semantics: search-nobody
contract(
  "if nobody answers, the search ends after 3 probes of the base and 3 of 64 bytes",
  async (world) => {
    const silent = await world.bound();
    const sizes: number[] = [];
    const onProbe = ({ size }: PathMtuProbe): void => void sizes.push(size);
    const s = world.socket();
    const error = await failure(probePathMtu(s, silent.getsockname(), { timeoutMs: 20, onProbe }));
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error.message).toContain("no answer to 6 probes");
    expect(sizes).toEqual([1200, 1200, 1200, 64, 64, 64]);
    expect(s.listenerCount("unreachable") + s.listenerCount("pathMtu")).toBe(0);
  },
  "pathMtu",
);

// semantics: search-ended
contract(
  "settimeout of the socket is neither used nor changed",
  async (world) => {
    const { s: at } = await peer(world, (data, { answer }) => answer(data));
    const s = world.socket();
    s.settimeout(0);
    expect(await probePathMtu(s, at.getsockname())).toMatchObject({ maxPayload: 65_507, lost: 0 });
    expect(s.gettimeout()).toBe(0);
  },
  "pathMtu",
);

// semantics: search-ended
contract(
  "a signal ends the search at once with its reason",
  async (world) => {
    const silent = await world.bound();
    const s = world.socket();
    const reason = new Error("enough");
    const stop = new AbortController();
    const search = probePathMtu(s, silent.getsockname(), { ...patient, signal: stop.signal });
    await silent.recvfrom(64, { timeoutMs: 5000 });
    stop.abort(reason);
    await expect(search).rejects.toBe(reason);
    await expect(probePathMtu(s, silent.getsockname(), { signal: stop.signal })).rejects.toBe(reason);
    expect(s.listenerCount("unreachable") + s.listenerCount("pathMtu")).toBe(0);
  },
  "pathMtu",
);

// semantics: search-ended
contract(
  "close() ends the search with ECANCELED, onProbe ends it by throwing, and another reader prevents it",
  async (world) => {
    const { s: at } = await peer(world, (data, { answer }) => answer(data));
    const thrown = new Error("a listener's own");
    const onProbe = (): void => {
      throw thrown;
    };
    await expect(probePathMtu(world.socket(), at.getsockname(), { onProbe })).rejects.toBe(thrown);

    const read = await world.bound();
    const step = read[Symbol.asyncIterator]().next();
    expect(await failure(probePathMtu(read, at.getsockname()))).toMatchObject({ code: "EBUSY" });
    await read.close();
    await step;

    const silent = await world.bound();
    const closed = world.socket();
    const search = failure(probePathMtu(closed, silent.getsockname(), patient));
    await silent.recvfrom(64, { timeoutMs: 5000 });
    await closed.close();
    expect(await search).toMatchObject({ code: "ECANCELED" });
    expect(await failure(probePathMtu(closed, silent.getsockname()))).toMatchObject({ code: "EBADF" });
  },
  "pathMtu",
);

// semantics: search-bad-arguments
contract("bad arguments are refused before anything is sent", async (world) => {
  const s = await world.bound();
  const to = s.getsockname();
  const call = probePathMtu as (...args: unknown[]) => Promise<unknown>;
  for (const [args, code] of [
    [[{}, to], "ERR_INVALID_ARG_TYPE"],
    [[s, "127.0.0.1:9"], "ERR_INVALID_ARG_TYPE"],
    [[s, to, null], "ERR_INVALID_ARG_TYPE"],
    [[s, to, { signal: {} }], "ERR_INVALID_ARG_TYPE"],
    [[s, to, { timeoutMs: "1" }], "ERR_INVALID_ARG_TYPE"],
    [[s, to, { onProbe: 1 }], "ERR_INVALID_ARG_TYPE"],
    [[s, to, { timeoutMs: 0 }], "ERR_OUT_OF_RANGE"],
    [[s, to, { timeoutMs: NaN }], "ERR_OUT_OF_RANGE"],
    [[s, to, { timeoutMs: Infinity }], "ERR_OUT_OF_RANGE"],
    [[s, ["127.0.0.1", -1]], "ERR_SOCKET_BAD_PORT"],
    [[s, ["127.0.0.1", 0]], "EINVAL"],
    [[s, ["localhost", 9]], "EINVAL"],
    [[s, ["::1", 9]], "EAFNOSUPPORT"],
  ] as const) {
    await expect(call(...args), code).rejects.toMatchObject({ code });
  }
  expect(s.stats().sent.datagrams).toBe(0);
});

// semantics: search-bad-arguments
contract(
  "without the feature pathMtu a search is ENOTSUP, with the reason",
  async (world) => {
    const s = await world.bound();
    const { pathMtu } = s.capabilities;
    const error = await failure(probePathMtu(s, s.getsockname()));
    expect(error.code).toBe("ENOTSUP");
    expect(error.message).toContain(pathMtu.available ? "never" : pathMtu.reason);
  },
  "no pathMtu",
);
