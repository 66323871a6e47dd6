/** Fragments use as much memory in the kernel as in the simulator, and both run out of memory at the same count. */

import { type TestContext, expect, test } from "vitest";

import { AF_INET, AF_INET6, SOCK_DGRAM } from "../../src/index.js";
import { Network } from "../../src/sim/index.js";
import { memoryBytes } from "../../src/sim/packet/memory.js";
import { Program, cleanEnding } from "../process/programs.js";
import { type Host, kernelCount, twoHosts } from "./network.js";

/** The number of incomplete datagrams that are sent, ten fragments each: more than the memory has room for. */
const incomplete = 230;
/** A payload that needs at least ten fragments over a cable with an MTU of 1,500 bytes. */
const payloadBytes = 14_000;
/** How far kernel and simulator may differ: what a datagram costs in addition to its fragments depends on the version. */
const tolerance = 0.03;

const sides = [
  {
    family: "IPv4",
    version: 4,
    socketFamily: AF_INET,
    from: "10.77.0.1",
    to: "10.77.0.2",
    /** The largest part of a datagram in one fragment, and the headers before it. */
    part: 1480,
    headers: 20,
    datagramBytes: 200,
    firsts: "ip frag-off & 0x3fff == 0x2000",
    lasts: "ip frag-off & 0x2000 == 0 ip frag-off & 0x1fff != 0",
    memory: /^FRAG: inuse \d+ memory (\d+)/m,
    failures: "IpReasmFails",
  },
  {
    family: "IPv6",
    version: 6,
    socketFamily: AF_INET6,
    from: "fd00:77::1",
    to: "fd00:77::2",
    part: 1448,
    headers: 48,
    datagramBytes: 184,
    firsts: "frag frag-off 0 frag more-fragments 1",
    lasts: "frag frag-off != 0 frag more-fragments 0",
    memory: /^FRAG6: inuse \d+ memory (\d+)/m,
    failures: "Ip6ReasmFails",
  },
] as const;

type Side = (typeof sides)[number];

for (const side of sides) {
  // semantics: fragment-memory
  test(`over ${side.family}, a host has the same memory for fragments as a simulated host`, async (t) => {
    const [from, to] = await twoHosts(t);
    const memory = (): number =>
      Number(side.memory.exec(to.run("cat /proc/net/sockstat /proc/net/sockstat6"))?.[1]);

    // Only the second fragment of each datagram arrives. It has `length` bytes.
    drop(to, side.firsts);
    const lengths = [60, 150, 400, 640, 700, 1000, side.part];
    const costs = lengths.map(
      (length) => side.datagramBytes + memoryBytes(side.version, side.headers + length),
    );
    const cost = costs.reduce((sum, each) => sum + each, 0);
    send(
      from,
      side.to,
      lengths.map((length) => side.part + length - 8),
    );
    // The first datagrams wait until the neighbour's address is resolved.
    await expect.poll(() => Math.abs(memory() - cost)).toBeLessThan(tolerance * cost);

    drop(to, side.lasts);
    send(from, side.to, Array<number>(incomplete).fill(payloadBytes));
    const refused = kernelCount(to, side.failures);
    const heard = await heardBy(t, to, side.to, () => {
      to.run("nft flush ruleset");
      send(from, side.to, [3000, 100]);
    });
    const simulated = await inMemory(side);
    expect(refused).toBeGreaterThan(0);
    const taken = incomplete * 9 - refused;
    expect(Math.abs(taken - (incomplete * 9 - simulated.refused))).toBeLessThan(tolerance * taken);
    // A whole datagram that travels in fragments is lost too.
    expect([heard, simulated.heard]).toEqual([[100], [100]]);
  });
}

/** Makes a host drop these packets only, before it joins fragments. */
function drop(at: Host, which: string): void {
  at.run(`nft flush ruleset; nft -f - <<'RULES'
    table netdev dg {
      chain arriving {
        type filter hook ingress device "dg0b" priority 0
        ${which} drop
      }
    }\nRULES`);
}

/** Sends datagrams of these sizes, one after another. */
function send(at: Host, to: string, sizes: readonly number[]): void {
  at.run(`python3 -S - <<'PYTHON'
import socket
s = socket.socket(socket.${to.includes(":") ? "AF_INET6" : "AF_INET"}, socket.SOCK_DGRAM)
for size in ${JSON.stringify(sizes)}: s.sendto(bytes(size), ("${to}", 9000))\nPYTHON`);
}

/** The sizes of the datagrams that a socket there receives, up to the one of 100 bytes. */
async function heardBy(test: TestContext, at: Host, address: string, sending: () => void): Promise<number[]> {
  const script = `
import socket
s = socket.socket(socket.${address.includes(":") ? "AF_INET6" : "AF_INET"}, socket.SOCK_DGRAM)
s.bind(("${address}", 9000))
print("ready")
size = 0
while size != 100:
    size = len(s.recv(65536))
    print(size)
`;
  const program = new Program(test, [...at.within, "python3", "-S", "-u", "-c", script]);
  await program.line();
  sending();
  const { lines, ...ending } = await program.ended;
  expect(ending).toEqual(cleanEnding);
  return lines.slice(1).map(Number);
}

/** The same between two simulated hosts. */
async function inMemory(side: Side): Promise<{ refused: number; heard: number[] }> {
  const network = new Network({ seed: 1 });
  const [from, to] = [network.host("from", { address: side.from }), network.host("to", { address: side.to })];
  const link = network.link(from, to);
  const heard = await network.run(async () => {
    const s = from.socket(side.socketFamily, SOCK_DGRAM);
    const r = to.socket(side.socketFamily, SOCK_DGRAM);
    const heal = link.drop(({ offset, moreFragments }) => offset > 0 && !moreFragments, "up");
    for (let count = 0; count < incomplete; count++) {
      await s.sendto(Buffer.alloc(payloadBytes), [side.to, 9000]);
    }
    heal();
    await r.bind([side.to, 9000]);
    for (const size of [3000, 100]) await s.sendto(Buffer.alloc(size), [side.to, 9000]);
    const sizes: number[] = [];
    while (sizes.at(-1) !== 100) sizes.push((await r.recvmsg()).size);
    return sizes;
  });
  // The two fragments of the whole datagram came later.
  const refused = network.trace.packets.filter(({ fate }) => fate === "no memory for fragments").length - 3;
  return { refused, heard };
}
