import dns from "node:dns";

import {
  AF_INET,
  AF_INET6,
  type Family,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  OSError,
  SOCK_DGRAM,
  type Socket,
  socket,
} from "datagram";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { resolve } from "../../src/kernel/resolver.js";

/** Addresses for both families, or for each. */
type Answer = readonly string[] | ReadonlyMap<4 | 6, readonly string[]> | Error;

/** Every lookup that the system was asked for, as `<host> <family>`. */
let asked: string[] = [];
/** The answers of the system. A name that is missing here waits for ever. */
let known = new Map<string, Answer | Promise<Answer>>();
let sockets: Socket[] = [];
let serial = 0;

beforeEach(() => {
  asked = [];
  known = new Map();
  sockets = [];
  vi.spyOn(dns, "lookup").mockImplementation(lookup as unknown as typeof dns.lookup);
});

afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all(sockets.map((each) => each.close()));
});

// semantics: name-cache
test("many sends to one name are one lookup, over all sockets", async () => {
  const [name, receiver] = [freshName(["127.0.0.1"]), await bound()];
  const { port } = receiver.getsockname();
  const senders = [open(), open()];
  await Promise.all(
    senders.flatMap((sender) => Array.from({ length: 100 }, () => sender.sendto("x", [name, port]))),
  );
  await senders[0]?.sendMany(["x", "x"], [name, port]);
  await senders[1]?.connect([name, port]);
  expect(asked).toEqual([`${name} 4`]);
  for (let count = 0; count < 202; count++) await receiver.recv(8, { timeoutMs: 5000 });
});

// semantics: name-literal
test("IP literals are not looked up", async () => {
  const [sender, receiver] = [open(), await bound()];
  await sender.bind(["", 0]);
  await sender.sendto("x", receiver.getsockname());
  await sender.connect(["127.0.0.1", receiver.getsockname().port]);
  await open(AF_INET6).bind(["::1", 0]);
  await expect(sender.connect(["<broadcast>", 9])).rejects.toBeInstanceOf(OSError);
  expect(asked).toEqual([]);
});

test("a lookup delays only the datagrams to its name", async () => {
  const [receiver, sender] = [await bound(), open()];
  const { host, port } = receiver.getsockname();
  let answer!: (addresses: Answer) => void;
  const slow = freshName(new Promise<Answer>((give) => (answer = give)));
  const quick = freshName([host]);
  const held = ["1", "2"].map((text) => sender.sendto(`slow ${text}`, [slow, port]));
  const many = sender.sendMany([{ data: "slow 3", address: [slow, port] }]);
  await sender.sendto("literal", [host, port]);
  await sender.sendto("quick", [quick, port]);
  expect(await texts(receiver, 2)).toEqual(["literal", "quick"]);
  answer([host]);
  await Promise.all([...held, many]);
  expect(await texts(receiver, 3)).toEqual(["slow 1", "slow 2", "slow 3"]);
});

test("connect waits for the lookup of an earlier send, and a send after connect for the lookup of connect", async () => {
  const [one, other, sender] = [await bound(), await bound(), open()];
  let answer!: (addresses: Answer) => void;
  const slow = freshName(new Promise<Answer>((give) => (answer = give)));
  const before = sender.sendto("before", [slow, one.getsockname().port]);
  const connecting = sender.connect([freshName(["127.0.0.1"]), other.getsockname().port]);
  const behind = sender.send("behind");
  expect(sender.getsockname().port).toBe(0);
  answer(["127.0.0.1"]);
  await Promise.all([before, connecting, behind]);
  expect(await texts(one, 1)).toEqual(["before"]);
  expect(await texts(other, 1)).toEqual(["behind"]);
});

test("close() ends calls that wait for a lookup, and a later answer has no effect", async () => {
  let answer!: (addresses: Answer) => void;
  const slow = freshName(new Promise<Answer>((give) => (answer = give)));
  const calls = [
    (s: Socket) => s.sendto("x", [slow, 9]),
    (s: Socket) => s.bind([slow, 0]),
    (s: Socket) => s.connect([slow, 9]),
  ];
  for (const call of calls) {
    const s = open();
    const refused = expect(call(s)).rejects.toMatchObject({ code: "ECANCELED" });
    await s.close();
    await refused;
  }
  answer(["127.0.0.1"]);
  await expect(resolve(slow, AF_INET)).resolves.toHaveLength(1);
});

test("each family has its own lookup, and the best address comes first", async () => {
  const name = freshName(["127.0.0.1", "127.0.0.2"]);
  expect((await resolve(name, AF_INET)).map(String)).toEqual(["127.0.0.1:0", "127.0.0.2:0"]);
  known.set(name, ["::1"]);
  expect((await resolve(name, AF_INET6)).map(String)).toEqual(["[::1]:0"]);
  expect(asked).toEqual([`${name} 4`, `${name} 6`]);
});

// semantics: name-cache
test("an answer is cached for 10 s", async () => {
  const name = freshName(["127.0.0.1"]);
  await resolve(name, AF_INET);
  advance(9_000);
  await resolve(name, AF_INET);
  expect(asked).toHaveLength(1);
  advance(2_000);
  await resolve(name, AF_INET);
  expect(asked).toHaveLength(2);
});

// semantics: name-cache
test("a failure is cached for 1 s", async () => {
  const name = freshName(systemError("ENOTFOUND"));
  const fails = async (): Promise<void> => {
    await expect(resolve(name, AF_INET)).rejects.toMatchObject({ code: "ENOTFOUND", address: name });
  };
  await fails();
  await fails();
  expect(asked).toHaveLength(1);
  known.set(name, ["127.0.0.1"]);
  advance(1_100);
  await expect(resolve(name, AF_INET)).resolves.toHaveLength(1);
  expect(asked).toHaveLength(2);
});

// semantics: name-cache
test("the cache is bounded: of very many names, the oldest is looked up again", async () => {
  const names = Array.from({ length: 300 }, () => freshName(["127.0.0.1"]));
  for (const name of names) {
    await resolve(name, AF_INET);
    await resolve(names[0] ?? "", AF_INET);
  }
  expect(asked).toHaveLength(300);
  await resolve(names[299] ?? "", AF_INET);
  expect(asked).toHaveLength(300);
  await resolve(names[1] ?? "", AF_INET);
  expect(asked).toHaveLength(301);
});

test("a name without an address of the family is ENOTFOUND that says so", async () => {
  for (const answer of [[], systemError("ENOTFOUND"), systemError("ENODATA"), systemError("EAI_FAIL")]) {
    const name = freshName(answer);
    await expect(resolve(name, AF_INET6)).rejects.toMatchObject({
      name: "OSError",
      code: "ENOTFOUND",
      syscall: "getaddrinfo",
      address: name,
      message: expect.stringContaining("IPv6") as string,
    });
  }
});

// semantics: name-unknown
test("a name server that does not answer is EAI_AGAIN, with the error of the system as the cause", async () => {
  const cause = systemError("EAI_AGAIN");
  const name = freshName(cause);
  await expect(resolve(name, AF_INET)).rejects.toMatchObject({ code: "EAI_AGAIN", address: name, cause });
  await expect(open().sendto("x", [name, 9])).rejects.toMatchObject({
    code: "EAI_AGAIN",
    syscall: "sendto",
    address: name,
    port: 9,
  });
});

// semantics: name-ipv4-only
test("an IPv6 socket reaches a name that has only IPv4 addresses as ::ffff:, but not with IPV6_V6ONLY", async () => {
  const [name, receiver] = [freshName(new Map([[4 as const, ["127.0.0.1"]]])), await bound()];
  const { port } = receiver.getsockname();
  const [dual, alone] = [open(AF_INET6), open(AF_INET6)];
  await dual.sendto("sent", [name, port]);
  await dual.connect([name, port]);
  expect(dual.getpeername().host).toBe("::ffff:127.0.0.1");
  expect(await texts(receiver, 1)).toEqual(["sent"]);
  alone.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, true);
  await expect(alone.sendto("x", [name, port])).rejects.toMatchObject({ code: "ENOTFOUND", address: name });
});

// semantics: name-ipv4-only
test("an IPv6 socket uses the IPv6 address of a name that has addresses of both families", async () => {
  const name = freshName(
    new Map<4 | 6, readonly string[]>([
      [4, ["127.0.0.1"]],
      [6, ["::1"]],
    ]),
  );
  const s = open(AF_INET6);
  await s.connect([name, 9]);
  expect(s.getpeername().host).toBe("::1");
  expect(asked).toEqual([`${name} 6`]);
});

type Reply = (error: Error | null, found?: dns.LookupAddress[]) => void;

function lookup(host: string, { family }: { family: 4 | 6 }, reply: Reply): void {
  asked.push(`${host} ${family}`);
  void Promise.resolve(known.get(host) ?? new Promise<Answer>(() => undefined)).then((answer) => {
    const found = "get" in answer ? (answer.get(family) ?? systemError("ENOTFOUND")) : answer;
    if (found instanceof Error) reply(found);
    else
      reply(
        null,
        found.map((address) => ({ address, family })),
      );
  });
}

/** A name that no test has looked up yet. */
function freshName(answer: Answer | Promise<Answer>): string {
  const name = `host-${serial++}.test`;
  known.set(name, answer);
  return name;
}

function systemError(code: string): Error {
  return Object.assign(new Error(`getaddrinfo ${code}`), { code });
}

/** Advances the clock that determines the age of answers. */
function advance(ms: number): void {
  const now = performance.now() + ms;
  vi.spyOn(performance, "now").mockImplementation(() => now);
}

function open(family: Family = AF_INET): Socket {
  const opened = socket(family, SOCK_DGRAM);
  sockets.push(opened);
  return opened;
}

async function bound(): Promise<Socket> {
  const opened = open();
  await opened.bind(["127.0.0.1", 0]);
  return opened;
}

async function texts(from: Socket, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) found.push((await from.recv(64, { timeoutMs: 5000 })).toString());
  return found;
}
