/** A cable at whose far end the kernel merges packets into larger ones, as network cards do. */

import { expect, test } from "vitest";

import { home, whySkipped } from "../process/programs.js";
import {
  type Came,
  type Reading,
  exchange,
  expectAll,
  expectInOrder,
  receiver,
  witness,
} from "./exchange.js";
import { cabledHosts, sharedHosts } from "./network.js";

const host = "10.77.0.2";

/** Runs that can be merged, runs that end with a shorter or longer datagram, and empty datagrams between them. */
const sizes: readonly number[] = [
  ...run(10, 1000),
  ...run(6, 1200),
  ...run(1, 300),
  ...run(5, 64),
  ...run(1, 0),
  ...run(5, 64),
  ...run(2, 0),
  ...run(1, 1),
  ...run(4, 1472),
  ...run(2, 1),
];
const plan = { host, call: "sendMany", sizes, burst: sizes.length, rounds: 25 } as const;

const mergingHosts = sharedHosts(async (life) => {
  const [from, to] = await cabledHosts(life);
  const offload = `python3 -S ${home}test/netns/python/offload.py`;
  from.run(`${offload} dg0a tso off`);
  to.run(`${offload} dg0b gro on; echo 2000000 > /sys/class/net/dg0b/gro_flush_timeout`);
  return [from, to] as const;
});

const why = whySkipped("native");

test("the cable merges datagrams that were sent one by one", async (t) => {
  const [from, to] = await mergingHosts(t);
  const { sent, came } = await exchange("dgram", from, await witness(to, host, true), plan);
  expect(came.merged).toBeGreaterThan(plan.rounds);
  expectAsSent(came, sent);
});

test.skipIf(why !== undefined).for(["for await", "recvMany", "recvfrom"] satisfies Reading[])(
  "datagrams that another kernel sent one by one and this kernel merged arrive at %s as they were sent",
  async (how, t) => {
    const [from, to] = await mergingHosts(t);
    const { sent, came } = await exchange("dgram", from, await receiver("native", to, host, how), plan);
    expectAsSent(came, sent);
  },
);

/** The kernel does not merge empty datagrams: they overtake datagrams that wait to be merged with more. */
function expectAsSent(came: Came, sent: Parameters<typeof expectAll>[1]): void {
  expectAll(came, sent);
  const full = (datagrams: readonly string[]): readonly string[] =>
    datagrams.filter((each) => each !== "0:0");
  expectInOrder({ datagrams: full(came.datagrams) }, { ...sent, datagrams: full(sent.datagrams) });
}

function run(count: number, size: number): readonly number[] {
  return Array.from({ length: count }, () => size);
}
