import { AF_INET6, SOL_SOCKET, SO_TYPE, type Socket } from "datagram";
import { expect } from "vitest";

import { type World, contract, failure, numbered, turn } from "./world.js";

/** The fields that an error must have. */
interface Told {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly address?: string;
  readonly port?: number;
  /** The part of the message that a person reads. */
  readonly message: RegExp;
}

/** A call that fails, on a socket that it makes, and the fields of its error. */
type Failing = (world: World) => Promise<readonly [call: Promise<unknown>, told: Told]>;

const failing: Readonly<Record<string, Failing>> = {
  EADDRINUSE: async ({ bound, socket }) => {
    const { host: address, port } = (await bound()).getsockname();
    const message = /^bind 127\.0\.0\.1:\d+: another socket has this address/;
    return [
      socket().bind([address, port]),
      { code: "EADDRINUSE", errno: 98, syscall: "bind", address, port, message },
    ];
  },
  EADDRNOTAVAIL: ({ elsewhere, socket }) => {
    const [address, port] = [elsewhere(AF_INET6), 9000];
    const message = /^bind \[2001:db8::1\]:9000: this host does not have this address/;
    const told = { code: "EADDRNOTAVAIL", errno: 99, syscall: "bind", address, port, message };
    return Promise.resolve([socket(AF_INET6).bind([address, port]), told]);
  },
  EINVAL: async ({ bound, localhost }) => {
    const call = (await bound()).bind([localhost(), 9000]);
    const told = { code: "EINVAL", errno: 22, syscall: "bind", address: localhost(), port: 9000 };
    return [call, { ...told, message: /^bind 127\.0\.0\.1:9000: .*already/ }];
  },
  EACCES: ({ broadcast: address, socket }) => {
    const message = /^sendto 127\.255\.255\.255:9000: .*SO_BROADCAST/;
    const told = { code: "EACCES", errno: 13, syscall: "sendto", address, port: 9000, message };
    return Promise.resolve([socket().sendto("x", [address, 9000]), told]);
  },
  EMSGSIZE: ({ localhost, socket }) => {
    const call = socket().sendto(Buffer.alloc(65_508), [localhost(), 9000]);
    const message =
      /^sendto 127\.0\.0\.1:9000: message of 65508 bytes is over the limit of 65507: messages\(\) of datagram\/message /;
    const told = {
      code: "EMSGSIZE",
      errno: 90,
      syscall: "sendto",
      address: localhost(),
      port: 9000,
      message,
    };
    return Promise.resolve([call, told]);
  },
  EDESTADDRREQ: ({ socket }) => {
    const message = /^send: .*not connected; call connect first, or give sendto/;
    return Promise.resolve([
      socket().send("x"),
      { code: "EDESTADDRREQ", errno: 89, syscall: "send", message },
    ]);
  },
  ENOTCONN: ({ socket }) => {
    const message = /^getpeername: .*not connected/;
    const call = attempt(() => socket().getpeername());
    return Promise.resolve([call, { code: "ENOTCONN", errno: 107, syscall: "getpeername", message }]);
  },
  EBADF: async ({ socket }) => {
    const closed = socket();
    await closed.close();
    const message = /^recvfrom: the socket is closed/;
    return [closed.recvfrom(64), { code: "EBADF", errno: 9, syscall: "recvfrom", message }];
  },
  ECANCELED: async ({ socket }) => {
    const closed = socket();
    const call = closed.recvfrom(64);
    void turn(closed).then(() => closed.close());
    const message = /^recvfrom: .*closed/;
    return Promise.resolve([call, { code: "ECANCELED", errno: 125, syscall: "recvfrom", message }] as const);
  },
  "ECANCELED of a name": ({ socket }) => {
    const closed = socket();
    const call = closed.sendto("x", ["localhost", 9000]);
    void closed.close();
    const told = { code: "ECANCELED", errno: 125, syscall: "sendto", address: "localhost", port: 9000 };
    return Promise.resolve([call, { ...told, message: /^sendto localhost:9000: .*closed/ }]);
  },
  ETIMEDOUT: ({ socket }) => {
    const message = /^recvfrom: .*10 ms/;
    const call = socket().recvfrom(64, { timeoutMs: 10 });
    return Promise.resolve([call, { code: "ETIMEDOUT", errno: 110, syscall: "recvfrom", message }]);
  },
  EAGAIN: ({ socket }) => {
    const call = socket().recvfrom(64, { timeoutMs: 0 });
    return Promise.resolve([
      call,
      { code: "EAGAIN", errno: 11, syscall: "recvfrom", message: /^recvfrom: \w/ },
    ]);
  },
  EAFNOSUPPORT: ({ localhost, socket }) => {
    const told = { code: "EAFNOSUPPORT", errno: 97, syscall: "sendto", address: "::1", port: 9000 };
    const call = socket().sendto("x", [localhost(AF_INET6), 9000]);
    return Promise.resolve([call, { ...told, message: /^sendto \[::1\]:9000: .*IPv6.*AF_INET/ }]);
  },
  ENOPROTOOPT: ({ socket }) => {
    const call = attempt(() => socket().setsockopt(SOL_SOCKET, SO_TYPE, 1));
    const message = /^setsockopt: .*SO_TYPE/;
    return Promise.resolve([call, { code: "ENOPROTOOPT", errno: 92, syscall: "setsockopt", message }]);
  },
  ECONNREFUSED: async ({ bound, nobody }) => {
    const [client, gone] = [await bound(), await nobody()];
    await client.connect(gone);
    await client.send("x");
    const told = {
      code: "ECONNREFUSED",
      errno: 111,
      syscall: "recvfrom",
      address: gone.host,
      port: gone.port,
    };
    return [client.recvfrom(64), { ...told, message: /^recvfrom 127\.0\.0\.1:\d+: nobody is listening/ }];
  },
};

for (const [name, make] of Object.entries(failing)) {
  // semantics: error-fields
  contract(
    `${name} has its code, errno, syscall, address and port, and says what happened`,
    async (world) => {
      const [call, { message, ...told }] = await make(world);
      const error = await failure(call);
      expect(error).toMatchObject(told);
      expect(error.message).toMatch(message);
      expect(error.message.endsWith(`(${told.code})`)).toBe(true);
      expect(error.stack).toContain(error.message);
      expect(["address" in error, "port" in error]).toEqual(["address" in told, "port" in told]);
    },
  );
}

const receiving: Readonly<Record<string, (s: Socket) => Promise<unknown>>> = {
  recv: (s) => s.recv(9),
  recvfrom: (s) => s.recvfrom(9),
  recvmsg: (s) => s.recvmsg(),
  recvMany: (s) => s.recvMany(9),
};

for (const [syscall, receive] of Object.entries(receiving)) {
  // semantics: error-fields
  contract(`${syscall} names itself in the ICMP error of the peer`, async ({ bound, nobody }) => {
    const [client, gone] = [await bound(), await nobody()];
    await client.connect(gone);
    await client.send("x");
    const error = await failure(receive(client));
    expect(error).toMatchObject({ code: "ECONNREFUSED", syscall, address: gone.host, port: gone.port });
    expect(error.message).toMatch(new RegExp(`^${syscall} 127\\.0\\.0\\.1:\\d+: nobody is listening`));
  });
}

const tooLong = { data: Buffer.alloc(65_508), address: ["127.0.0.1", 9000] } as const;
const sending: Readonly<Record<string, (s: Socket) => Promise<unknown>>> = {
  sendto: (s) => s.sendto(tooLong.data, tooLong.address),
  sendmsg: (s) => s.sendmsg(tooLong),
  sendMany: (s) => s.sendMany([tooLong]),
};

for (const [syscall, send] of Object.entries(sending)) {
  // semantics: error-fields
  contract(`${syscall} names itself in the error of a datagram that is too long`, async ({ socket }) => {
    const error = await failure(send(socket()));
    expect(error).toMatchObject({
      code: "EMSGSIZE",
      syscall,
      address: "127.0.0.1",
      port: 9000,
      limit: 65_507,
    });
    expect(error.message).toMatch(new RegExp(`^${syscall} 127.0.0.1:9000: message of 65508 bytes`));
  });
}

for (const syscall of ["bind", "connect", "sendto"] as const) {
  // semantics: name-unknown
  contract(
    `a name that does not resolve: ${syscall} is ENOTFOUND, and the error names the host`,
    async ({ socket }) => {
      const s = socket();
      const name = [`nosuch-${syscall}.invalid`, 9000] as const;
      const error = await failure(syscall === "sendto" ? s.sendto("x", name) : s[syscall](name));
      // A host that cannot reach its name server says "try again" instead.
      expect(["ENOTFOUND", "EAI_AGAIN"]).toContain(error.code);
      expect(error).toMatchObject({ syscall, address: name[0], port: 9000 });
      expect(error.errno).toBeGreaterThan(0);
      expect(error.message).toContain(`${syscall} ${name[0]}:9000`);
    },
  );
}

// semantics: rejections
contract(
  "methods that return promises reject and never throw, and no socket emits an error",
  async ({ socket }) => {
    const s = socket();
    const emitted = errorsOf(s);
    const methods = [
      "bind",
      "connect",
      "sendto",
      "send",
      "sendMany",
      "recvfrom",
      "recv",
      "recvMany",
    ] as const;
    for (const method of methods) {
      const call = s[method].bind(s) as (...args: unknown[]) => Promise<unknown>;
      for (const args of [[], [{}], [-1, -1], [Symbol("x"), 1n], ["x", ["127.0.0.1", "x"]], [["x"], 5]]) {
        const result = call(...args);
        expect(result).toBeInstanceOf(Promise);
        await expect(result, method).rejects.toMatchObject({ code: expect.stringMatching(/^E/) as string });
      }
    }
    expect(emitted).toEqual([]);
  },
);

// semantics: rejections
contract("a failed send and an ICMP error emit no error event, also without a listener", async (world) => {
  const [s, gone] = [await world.bound(), await world.nobody()];
  const emitted = errorsOf(s);
  await failure(s.sendto(Buffer.alloc(70_000), gone));
  await failure(s.sendto("x", [world.broadcast, 9000]));
  await s.connect(gone);
  for (const text of numbered(3)) await s.send(text).catch(() => 0);
  await turn(s);
  expect(emitted).toEqual([]);
});

// semantics: rejections
contract("a call rejects with the error that a getter of its argument throws", async ({ bound }) => {
  const [s, thrown] = [await bound(), new Error("thrown by the program")];
  const throws = {
    get address(): string {
      throw thrown;
    },
    get signal(): AbortSignal {
      throw thrown;
    },
    port: 9000,
  };
  const letter = {
    get data(): string {
      throw thrown;
    },
  };
  const calls = [
    s.bind(throws),
    s.connect(throws),
    s.sendto("x", throws),
    s.sendMany(["x"], throws),
    s.sendMany([letter]),
    s.recv(64, throws),
    s.recvmsg(throws),
  ];
  for (const call of calls) await expect(call).rejects.toBe(thrown);
});

/** Collects "error" events, of which there must be none: without a listener one would end the process. */
function errorsOf(s: Socket): unknown[] {
  const emitted: unknown[] = [];
  s.on("error" as never, (error: unknown) => emitted.push(error));
  return emitted;
}

function attempt(call: () => unknown): Promise<unknown> {
  return Promise.resolve().then(call);
}
