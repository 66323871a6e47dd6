import { expect, test } from "vitest";

import { AF_INET, type Socket } from "datagram";
import { type Host, Network } from "datagram/sim";

const payload = Buffer.alloc(64, "x");
/** That many hosts on one switch. */
function segment(count: number): { network: Network; hosts: Host[] } {
  const network = new Network();
  const lan = network.switch("lan");
  const hosts = Array.from({ length: count }, (_, index) => {
    const host = network.host(`host-${index}`, { address: `10.0.${index >> 7}.${(index & 127) + 1}/16` });
    network.link(host, lan, { latencyMs: 1 });
    return host;
  });
  return { network, hosts };
}

/** Milliseconds of CPU time for datagrams between the first two hosts, each with an answer. The others have one socket each. */
function measure(network: Network, [one, other, ...rest]: readonly Host[], count: number): Promise<number> {
  return network.run(async () => {
    for (const host of rest) await host.socket(AF_INET).bind(["", 9000]);
    const [client, server] = [(one as Host).socket(AF_INET), (other as Host).socket(AF_INET)];
    await server.bind(["", 9000]);
    const to = [(other as Host).address, 9000] as const;
    void echo(server);
    const began = process.cpuUsage();
    for (let sent = 0; sent < count; sent++) {
      await client.sendto(payload, to);
      await client.recvfrom(2048);
    }
    const { user, system } = process.cpuUsage(began);
    return (user + system) / 1000;
  });
}

async function echo(s: Socket): Promise<void> {
  for await (const datagram of s) await datagram.reply(datagram.data);
}

test("the cost of a datagram does not grow with the number of idle hosts", async () => {
  const [few, many] = [segment(2), segment(2000)];
  const best = { few: Infinity, many: Infinity };
  for (let round = 0; round < 6; round++) {
    best.few = Math.min(best.few, await measure(few.network, few.hosts, 2000));
    best.many = Math.min(best.many, await measure(many.network, many.hosts, 2000));
  }
  // A loop over all hosts would take a hundred times as long. In the process's own time, which does not pass while the machine
  // runs other programs. Other work changes the ratio by less than two.
  expect(best.many / best.few).toBeLessThan(2.5);
});

test("thousands of sockets that send in one tick use little memory in that time", async () => {
  const { network, hosts } = segment(100);
  const [sockets, grown, received] = await network.run(async () => {
    const opened = hosts.flatMap((host) => Array.from({ length: 20 }, () => host.socket(AF_INET)));
    const target = opened[0] as Socket;
    await target.bind(["", 9000]);
    const before = process.memoryUsage().arrayBuffers;
    const sends = opened.map((s) => s.sendto(payload, [(hosts[0] as Host).address, 9000]));
    const after = process.memoryUsage().arrayBuffers;
    await Promise.all(sends);
    let count = 0;
    while (count < opened.length) count += (await target.recvMany(opened.length)).length;
    return [opened.length, after - before, count] as const;
  });
  expect(received).toBe(sockets);
  // A full arena for each socket would be 150 MB.
  expect(grown).toBeLessThan(32 << 20);
});
