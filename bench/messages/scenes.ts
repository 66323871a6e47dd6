/** What messages are measured at, on the simulated network: each scene is one run with one seed. */
import type { Socket } from "datagram";
import { type Messages, type MessagesOptions, type Receipt, messages } from "datagram/message";
import {
  type Host,
  type LinkInput,
  type LinkSettings,
  Network,
  type ScenarioName,
  applyScenario,
  scenarios,
} from "datagram/sim";

import { receiveNewReno, sendNewReno } from "./newreno.js";

const port = 9000;
const desk = ["10.0.0.2", port] as const;

/** The protocol of a transfer. */
export type Protocol = "messages" | "NewReno";

/** Bytes that look different in each run. */
export function pattern(bytes: number, seed: number): Buffer {
  const data = Buffer.alloc(bytes);
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let at = 0; at < bytes; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data[at] = state >>> 24;
  }
  return data;
}

/** One message over a link from a camera to a desk: milliseconds until the camera knows that it arrived. */
export async function transfer(
  protocol: Protocol,
  seed: number,
  bytes: number,
  link: LinkInput,
): Promise<number> {
  const network = new Network({ seed });
  const [from, to] = [
    network.host("camera", { address: "10.0.0.1" }),
    network.host("desk", { address: desk[0] }),
  ];
  network.link(from, to, link);
  return await network.run(
    async () => (await carry(protocol, from, to, port, pattern(bytes, seed))).elapsedMs,
  );
}

/** Networks that the QUIC interop runner does not have, on its bottleneck. */
const moreNetworks = {
  "corruption of 15%": { corruptRatio: 0.15, corruptPasses: true },
  "reordering of 30%": { reorderRatio: 0.3, reorderMs: 8 },
  "duplication of 50%": { duplicateRatio: 0.5 },
} as const satisfies Record<string, LinkSettings>;

/** The names of the networks of `overNetwork`. */
export const networkNames: readonly string[] = [...Object.keys(scenarios), ...Object.keys(moreNetworks)];

/**
 * 1 MB over one of these networks. Where something happens only after seconds, it is sent at 750 kbit/s, so that it is under way
 * for 11 s. Returns milliseconds.
 */
export async function overNetwork(name: string, seed: number): Promise<number> {
  const network = new Network({ seed });
  const from = network.host("camera", { address: "192.168.0.2" });
  const nat = network.router("router", { address: "198.19.0.9", nat: { inside: ["192.168.0.0/16"] } });
  const to = network.host("desk", { address: desk[0] });
  network.link(from, nat, { latencyMs: 0.1 });
  const link = network.link(nat, to);
  return await network.run(async () => {
    const more = moreNetworks[name as keyof typeof moreNetworks] as LinkSettings | undefined;
    const scenario = more ? "transfer" : (name as ScenarioName);
    const end = applyScenario(network, link, scenario, { nat });
    if (more) link.set({ ...scenarios.transfer.up, ...more });
    const { blackHole, rebind } = scenarios[scenario];
    const options = blackHole || rebind ? { rateBps: 750_000 } : {};
    const { elapsedMs } = await carry("messages", from, to, port, pattern(1_000_000, seed), options);
    end();
    return elapsedMs;
  });
}

/** What two transfers at a time came to: chunks that each delivered while both were under way, and the share sent again. */
export interface Shared {
  readonly chunks: readonly [number, number];
  readonly resent: readonly [number, number];
}

/** Two senders of a camera each, over one link of 10 Mbit/s, 15 ms and a queue of 25 packets, for a time. */
export async function share(
  protocols: readonly [Protocol, Protocol],
  seed: number,
  ms: number,
): Promise<Shared> {
  const network = new Network({ seed });
  const router = network.router("router", { address: "10.0.0.254" });
  const cameras = ["10.0.0.1", "10.0.0.3"].map((address, at) => network.host(`camera${at}`, { address }));
  const to = network.host("desk", { address: desk[0] });
  const near = { latencyMs: 0.1 };
  for (const camera of cameras) network.link(camera, router, near);
  network.link(router, to, { latencyMs: 15, rateBps: 10_000_000, queueBytes: 25 * 1500 });
  return await network.run(
    async () => {
      const data = pattern(2_000_000, seed);
      const until = network.clock.now() + ms;
      const results = await Promise.all(
        protocols.map(async (protocol, at) => {
          const camera = cameras[at] as Host;
          // The second one begins a little later, so that they do not run in step.
          await new Promise((done) => setTimeout(done, at * (3 + (seed % 50))));
          return await goOn(protocol, camera, to, port + at, data, until, network);
        }),
      );
      const [one, two] = results as [Flow, Flow];
      return { chunks: [one.chunks, two.chunks], resent: [one.resent, two.resent] };
    },
    { limitMs: 10 * ms },
  );
}

interface Flow {
  chunks: number;
  resent: number;
}

/** Sends 2 MB again and again until a time, and counts what arrived at the desk. */
async function goOn(
  protocol: Protocol,
  from: Host,
  to: Host,
  at: number,
  data: Buffer,
  until: number,
  network: Network,
): Promise<Flow> {
  const [s, r] = [from.socket(), to.socket()];
  await r.bind([desk[0], at]);
  const flow: Flow = { chunks: 0, resent: 0 };
  const stop = new AbortController();
  setTimeout(() => stop.abort(), until - network.clock.now());
  if (protocol === "messages") {
    const [m, n] = [messages(s), messages(r)];
    void drain(n);
    // Two at a time, so that the end of one does not leave the link idle.
    const lanes = [0, 1].map(async () => {
      while (!stop.signal.aborted)
        await m.send(data, [desk[0], at], { signal: stop.signal }).catch(() => undefined);
    });
    await Promise.all(lanes);
    const { sentChunks, resentChunks } = m.peer([desk[0], at]).stats();
    flow.chunks = sentChunks - resentChunks;
    flow.resent = resentChunks / sentChunks;
    return flow;
  }
  const big = Buffer.concat(Array.from({ length: 20 }, () => data));
  void receiveNewReno(r, () => undefined);
  let sent = 0;
  const seen = new Set<number>();
  r.tap(({ direction, data: bytes }) => {
    if (direction === "in") seen.add(bytes.readUInt32BE(0));
  });
  s.tap(({ direction }) => {
    if (direction === "out") sent++;
  });
  void sendNewReno(s, big, [desk[0], at]).catch(() => undefined);
  await new Promise((done) => stop.signal.addEventListener("abort", done));
  flow.chunks = seen.size;
  flow.resent = 1 - seen.size / sent;
  await Promise.all([s.close(), r.close()]);
  return flow;
}

/** The share of fleeting frames of 25 chunks that arrive whole, and their longest latency in milliseconds. */
export async function fleeting(
  seed: number,
  frames: number,
  parity: number,
  link: LinkSettings,
): Promise<{ whole: number; latencyMs: number }> {
  const network = new Network({ seed });
  const [from, to] = [
    network.host("camera", { address: "10.0.0.1" }),
    network.host("desk", { address: desk[0] }),
  ];
  network.link(from, to, { latencyMs: 5, ...link });
  return await network.run(async () => {
    const [m, n] = await pair(from, to);
    const sentAt: number[] = [];
    let [whole, latencyMs] = [0, 0];
    void (async () => {
      for await (const { data } of n) {
        whole++;
        latencyMs = Math.max(latencyMs, network.clock.now() - (sentAt[data.readUInt32BE(0)] as number));
      }
    })();
    const data = pattern(25 * 1200, seed);
    for (let frame = 0; frame < frames; frame++) {
      const picture = Buffer.from(data);
      picture.writeUInt32BE(frame, 0);
      sentAt.push(network.clock.now());
      await Promise.all([
        m.send(picture, desk, { mode: "fleeting", parity }),
        new Promise((done) => setTimeout(done, 100)),
      ]);
    }
    await new Promise((done) => setTimeout(done, 1000));
    return { whole: whole / frames, latencyMs };
  });
}

/** Requests at a loss ratio: how many were answered, and how often the handler ran for one request at most. */
export async function requests(
  seed: number,
  count: number,
  lossRatio: number,
): Promise<{ answered: number; maxRuns: number; unanswered: number }> {
  const network = new Network({ seed });
  const [from, to] = [
    network.host("camera", { address: "10.0.0.1" }),
    network.host("desk", { address: desk[0] }),
  ];
  network.link(from, to, { latencyMs: 5, lossRatio });
  return await network.run(async () => {
    const [m, n] = await pair(from, to);
    const runs = new Map<number, number>();
    n.serve(({ data }) => {
      const number = data.readUInt32BE(0);
      runs.set(number, (runs.get(number) ?? 0) + 1);
      return data;
    });
    let answered = 0;
    for (let number = 0; number < count; number++) {
      const query = Buffer.alloc(4);
      query.writeUInt32BE(number);
      const reply = await m.request(query, desk).catch(() => undefined);
      if (!reply) continue;
      if (!reply.data.equals(query)) throw new Error("the reply belongs to another request");
      if (runs.get(number) !== 1) throw new Error(`the handler ran ${runs.get(number) ?? 0} times`);
      answered++;
    }
    return { answered, maxRuns: Math.max(...runs.values()), unanswered: count - answered };
  });
}

/** Opens the sockets of both ends, and messages over them. */
export async function pair(
  from: Host,
  to: Host,
  options: MessagesOptions = {},
): Promise<[Messages, Messages, Socket, Socket]> {
  const [s, r] = [from.socket(), to.socket()];
  await r.bind([to.address, port]);
  return [messages(s, options), messages(r, options), s, r];
}

async function carry(
  protocol: Protocol,
  from: Host,
  to: Host,
  at: number,
  data: Buffer,
  options: MessagesOptions = {},
): Promise<Pick<Receipt, "elapsedMs">> {
  const [s, r] = [from.socket(), to.socket()];
  await r.bind([desk[0], at]);
  const check = (got: Buffer): void => {
    if (!got.equals(data)) throw new Error("other bytes arrived");
  };
  if (protocol === "NewReno") {
    void receiveNewReno(r, check);
    const result = await sendNewReno(s, data, [desk[0], at]);
    await Promise.all([s.close(), r.close()]);
    return result;
  }
  const [m, n] = [messages(s, options), messages(r)];
  let arrived = 0;
  void (async () => {
    for await (const message of n) {
      check(message.data);
      arrived++;
    }
  })();
  const receipt = await m.send(data, [desk[0], at]);
  // Chunks that are still under way must not bring the message a second time.
  await new Promise((done) => setTimeout(done, 3000));
  if (arrived !== 1) throw new Error(`${arrived} messages arrived`);
  return receipt;
}

async function drain(m: Messages): Promise<void> {
  for await (const _ of m);
}
