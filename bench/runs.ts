/** How a case of each kind runs once: which peers, on which CPU, with which settings. */
import { join } from "node:path";

import { type Cpu, type Line, Peer, type Settings } from "./peer.js";
import { type Found, type Program, type ProgramName, root } from "./programs.js";

/** The figures of one round of one case. `lost` is a ratio of the sent datagrams, `waited` one of the time. */
export type Figures = Readonly<Record<string, number>>;

export interface Bench {
  readonly programs: ReadonlyMap<ProgramName, Found>;
  readonly quick: boolean;
  /** Milliseconds that are measured. @default 800, or 200 if `quick` */
  readonly windowMs?: number;
}

/** One end of a delivery: a program, and its mode. */
export interface End {
  readonly program: ProgramName;
  readonly settings?: Settings;
}

export const buffer = 4 << 20;
/** The buffer of each of many sockets in one process: a thousand of 4 MiB could use all memory of the machine. */
const smallBuffer = 256 << 10;
/** The buffer of sockets that nobody reads, which is full after a few datagrams. */
const parkedBuffer = 16 << 10;
const awaitedWorker = join(root, "build", "bench", "awaited", "worker.js");

/** From one process to another: what arrives in the window, and which share of all sent datagrams never arrives. */
export async function deliver(bench: Bench, from: End, to: End, size: number, sockets = 1): Promise<Figures> {
  const times = windows(bench);
  const shared = { ...times, size, buffer: sockets > 1 ? smallBuffer : buffer };
  await using receiver = new Peer(
    found(bench, to.program),
    "receive",
    { ...shared, sockets, ...to.settings },
    1,
  );
  const ports = await receiver.ports();
  const tailMs = times.quietMs;
  const sending = { ...shared, buffer, to: ports, batch: 1024, tailMs, ...from.settings };
  await using sender = new Peer(found(bench, from.program), "send", sending, 0);
  // A sender may pause for a while, so silence alone does not end a receiver.
  const sent = sender.result().finally(() => receiver.finish());
  const [got, gave] = await Promise.all([receiver.result(), sent]);
  const received = value(got, "total");
  if (value(got, "bytes") !== received * size)
    throw new Error(`${to.program} received datagrams that nobody sent`);
  return {
    perSecond: perSecond(got),
    lost: 1 - received / value(gave, "total"),
    waited: Math.max(value(got, "waited"), value(gave, "waited")),
    ...resources("receiver", got),
    ...resources("sender", gave),
    ...cpuTimes(got, gave),
  };
}

/** How a sender of C spaces its datagrams. */
export interface Pace {
  /** Datagrams that are sent at once. */
  readonly batch: number;
  /** Microseconds from the start of one batch to the start of the next. */
  readonly everyUs: number;
  /** How many times as often the batches come while the receiver warms up. */
  readonly hurry: number;
}

/** Rates of cameras and sensors. A receiver waits for most of the time. */
export const paces = {
  bursts: { batch: 25, everyUs: 5000, hurry: 10 },
  even: { batch: 1, everyUs: 200, hurry: 5 },
  fast: { batch: 60, everyUs: 1000, hurry: 1 },
} as const satisfies Readonly<Record<string, Pace>>;

/** The CPU time of a receiver whose sender, in C, sends at a pace. */
export async function receiveAtPace(bench: Bench, to: End, size: number, pace: Pace): Promise<Figures> {
  const { warmUpMs, windowMs, quietMs } = bench.quick
    ? { warmUpMs: 300, windowMs: 300, quietMs: 100 }
    : { warmUpMs: 3000, windowMs: 1500, quietMs: 100 };
  const shared = { size, buffer, quietMs, windowMs: bench.windowMs ?? windowMs };
  // The window of the receiver opens after the sender has slowed down.
  const receiving = { ...shared, warmUpMs: warmUpMs + quietMs, tickMs: 100, ...to.settings };
  await using receiver = new Peer(found(bench, to.program), "receive", receiving, 1);
  const sending = { ...shared, ...pace, warmUpMs, tailMs: 4 * quietMs, to: await receiver.ports() };
  await using sender = new Peer(found(bench, "c"), "send", sending, 0);
  const sent = sender.result().finally(() => receiver.finish());
  const [got, gave] = await Promise.all([receiver.result(), sent]);
  const received = value(got, "total");
  if (value(got, "bytes") !== received * size)
    throw new Error(`${to.program} received datagrams that nobody sent`);
  return {
    cpuUs: (value(got, "cpuSeconds") / value(got, "datagrams")) * 1e6,
    lost: 1 - received / value(gave, "total"),
    waited: Math.max(value(got, "waited"), value(gave, "waited")),
    ...resources("receiver", got),
  };
}

/** Sending alone: the datagrams that the kernel accepts in the window, to sockets that nobody reads. */
export async function sendAlone(bench: Bench, from: End, size: number, peers = 1): Promise<Figures> {
  await using parked = new Peer(parker(bench), "park", { sockets: peers, buffer: parkedBuffer }, 1);
  const settings = {
    ...windows(bench),
    size,
    buffer,
    to: await parked.ports(),
    batch: 1024,
    ...from.settings,
  };
  await using sender = new Peer(found(bench, from.program), "send", settings, 0);
  const gave = await sender.result();
  return { perSecond: perSecond(gave), waited: value(gave, "waited") };
}

/** Round trips one at a time, with both processes on one CPU, or each on its own. */
export async function roundTrip(
  bench: Bench,
  client: ProgramName,
  echo: ProgramName,
  { clientCpu = 0, busyPoll = 0 }: { clientCpu?: Cpu; busyPoll?: number } = {},
): Promise<Figures> {
  const shared = { size: 64, buffer, busyPoll };
  await using far = new Peer(found(bench, echo), "echo", shared, 0);
  const settings = { ...shared, to: await far.ports(), count: bench.quick ? 1000 : 40_000 };
  await using near = new Peer(found(bench, client), "client", settings, clientCpu);
  return await near.result();
}

/** One datagram at a time, both ends in one process. */
export async function awaited(bench: Bench, workload: string, contender: ProgramName): Promise<Figures> {
  const worker = { ...found(bench, contender), command: [process.execPath, awaitedWorker] };
  const counts = bench.quick ? { warmUp: 5000, amount: 5000 } : { warmUp: 50_000, amount: 200_000 };
  await using peer = new Peer(worker, workload, { contender, ...counts }, 0);
  return await peer.result();
}

/** Microseconds to open, bind and close a socket. */
export async function openClose(bench: Bench, program: ProgramName): Promise<Figures> {
  await using peer = new Peer(found(bench, program), "open", windows(bench), 0);
  const line = await peer.result();
  return {
    usEach: (value(line, "seconds") / value(line, "datagrams")) * 1e6,
    waited: value(line, "waited"),
  };
}

/** Bytes of resident memory for each of many sockets that are open and bound. */
export async function idleSockets(bench: Bench, program: ProgramName): Promise<Figures> {
  const settings = { warmUpSockets: 1000, sockets: bench.quick ? 2000 : 10_000 };
  await using peer = new Peer(found(bench, program), "idle", settings, 0);
  return { bytesEach: value(await peer.result(), "bytesEach") };
}

/** The memory of a receiver after its first million datagrams, and after `millions` or `limitMs`. */
export async function memory(
  bench: Bench,
  program: ProgramName,
  millions: number,
  limitMs: number,
): Promise<Figures> {
  const settings = {
    buffer,
    size: 64,
    first: 1e6,
    count: millions * 1e6,
    windowMs: limitMs,
    limitMs: limitMs + 30_000,
  };
  await using receiver = new Peer(found(bench, program), "memory", settings, 1, limitMs + 30_000);
  const sending = { ...settings, to: await receiver.ports(), batch: 1024, by: "sendMany", warmUpMs: 0 };
  await using sender = new Peer(found(bench, program), "send", sending, 0, limitMs + 30_000);
  return await Promise.race([receiver.result(), sender.end()]);
}

/** Why a case cannot run here; `undefined` if it can. */
export function missing(bench: Bench, needs: readonly ProgramName[], parks: boolean): string | undefined {
  for (const name of needs) {
    const program = bench.programs.get(name);
    if (!program || "missing" in program) return `no ${name}: ${program?.missing ?? "not looked for"}`;
  }
  if (parks && !parkers.some((name) => isThere(bench.programs.get(name)))) {
    return "no C and no Python to hold the sockets that nobody reads";
  }
  return undefined;
}

/** The programs that can hold sockets that nobody reads: `node:dgram` reads every socket that it has bound. */
export const parkers: readonly ProgramName[] = ["c", "python"];

function parker(bench: Bench): Program {
  return found(bench, parkers.find((name) => isThere(bench.programs.get(name))) ?? "c");
}

function isThere(program: Found | undefined): program is Program {
  return program !== undefined && !("missing" in program);
}

export function found(bench: Bench, name: ProgramName): Program {
  const program = bench.programs.get(name);
  if (!isThere(program)) throw new Error(`no ${name}`);
  return program;
}

function windows({ quick, windowMs }: Bench): { warmUpMs: number; windowMs: number; quietMs: number } {
  return quick
    ? { warmUpMs: 150, windowMs: windowMs ?? 200, quietMs: 50 }
    : { warmUpMs: 600, windowMs: windowMs ?? 800, quietMs: 100 };
}

function perSecond(line: Line): number {
  return value(line, "datagrams") / value(line, "seconds");
}

/** Resident memory, and the time of the garbage collector in the window, if the peer reports them. */
function resources(side: string, line: Line): Figures {
  const { rssBytes, gcMs, datagrams = 0 } = line;
  return {
    ...(rssBytes === undefined ? {} : { [`${side}RssBytes`]: rssBytes }),
    ...(gcMs === undefined || datagrams === 0
      ? {}
      : { [`${side}GcMs`]: gcMs, [`${side}GcMsPerMillion`]: (gcMs / datagrams) * 1e6 }),
  };
}

/** Microseconds of CPU time for each delivered datagram: of the receiver, and of both processes, if the peers report them. */
function cpuTimes(got: Line, gave: Line): Figures {
  if (got.cpuSeconds === undefined) return {};
  const receiverCpuUs = (got.cpuSeconds / value(got, "datagrams")) * 1e6;
  if (gave.cpuSeconds === undefined) return { receiverCpuUs };
  const senderShare = gave.cpuSeconds / value(gave, "seconds");
  return { receiverCpuUs, cpuUs: receiverCpuUs + (senderShare / perSecond(got)) * 1e6 };
}

function value(line: Line, name: string): number {
  const figure = line[name];
  if (typeof figure !== "number") throw new Error(`a peer did not tell ${name}`);
  return figure;
}
