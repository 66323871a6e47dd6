/**
 * Measures the simulated network: `node worker.js <role> key=value …` prints its figures as JSON. Time is virtual within a
 * run, so the measured time is read from Node's own clock.
 */
import { AF_INET, SOCK_DGRAM, type Socket } from "datagram";
import { type Host, Network } from "datagram/sim";

import { type Figures, type Task, play } from "../peers/protocol.js";

const port = 9000;
const payload = Buffer.alloc(64, "x");
/** Datagrams in flight at a time: a receive buffer has room for all of them. */
const burst = 1024;
const payloads = Array.from({ length: burst }, () => payload);
/** The number of datagrams before the measured ones, while the compiler works. */
const warmUp = 200_000;
const hostsOnSwitch = 100;
const socketsOnHost = 10;

// Runs replace this clock by a virtual one.
const realNow = performance.now.bind(performance);

await play({ deliver, beside, crowd, minutes });

/** Datagrams per second from one host to another over one link, to a program that reads them. */
async function deliver(task: Task): Promise<Figures> {
  const network = new Network();
  const [from, to] = [
    network.host("from", { address: "10.0.0.1" }),
    network.host("to", { address: "10.0.0.2" }),
  ];
  network.link(from, to);
  return await network.run(() => exchange(network, from, to, task));
}

/** The same over a switch, in turns between the only two hosts and two of `hosts`, each of which has a socket bound. */
async function beside(task: Task): Promise<Figures> {
  const networks = [networkOf(2), networkOf(task.number("hosts"))];
  const best = [0, 0];
  for (let round = 0; round < 4; round++) {
    for (const [index, { network, hosts }] of networks.entries()) {
      const [from, to] = hosts as [Host, Host];
      const { perSecond } = await network.run(async () => {
        await settle(hosts, 1);
        return await exchange(network, from, to, task);
      });
      best[index] = Math.max(best[index] ?? 0, perSecond as number);
    }
  }
  const [few = NaN, many = NaN] = best;
  return { perSecond: many, ratio: few / many };
}

/** The memory of many hosts. Each of their sockets has sent a datagram to one of another host, which has read it. */
async function crowd(task: Task): Promise<Figures> {
  const began = realNow();
  const { network, hosts } = networkOf(task.number("hosts"));
  return await network.run(async () => {
    const socketsOfHosts = await settle(hosts, socketsOnHost);
    let datagrams = 0;
    await Promise.all(
      socketsOfHosts.flatMap((sockets, home) =>
        sockets.map(async (s, index) => {
          // On another switch, if there is one.
          const to = hosts[(home + hostsOnSwitch) % hosts.length] as Host;
          const received = s.recvfrom(2048);
          await s.sendto(payload, [to.address, port + index]);
          await received;
          datagrams++;
        }),
      ),
    );
    const sockets = socketsOfHosts.flat().length;
    return {
      datagrams,
      sockets,
      seconds: (realNow() - began) / 1000,
      rssBytes: process.memoryUsage.rss(),
    };
  });
}

/** Seconds for ten virtual minutes of 100 hosts, each with a timer of its own that sends ten datagrams a second. */
async function minutes(task: Task): Promise<Figures> {
  const network = new Network();
  const hosts = Array.from({ length: 100 }, (_, index) =>
    network.host(`host-${index}`, { address: `10.0.0.${index + 1}` }),
  );
  const lan = task.text("over") === "switch" ? network.switch("lan") : undefined;
  for (const [index, host] of hosts.entries()) {
    network.link(host, lan ?? (hosts[(index + 1) % hosts.length] as Host), { latencyMs: 2, jitterMs: 1 });
  }
  const began = realNow();
  let received = 0;
  await network.run(async () => {
    for (const [index, host] of hosts.entries()) {
      const s = host.socket(AF_INET, SOCK_DGRAM);
      await s.bind(["", port]);
      void (async () => {
        for await (const datagram of s) received += datagram.data.length / payload.length;
      })();
      const to = [(hosts[(index + 1) % hosts.length] as Host).address, port] as const;
      // No two timers run at the same instant.
      setTimeout(() => {
        setInterval(() => void s.sendto(payload, to), 100);
      }, index);
    }
    await new Promise((resolve) => setTimeout(resolve, 600_000));
  });
  return { datagrams: received, seconds: (realNow() - began) / 1000 };
}

/** A hundred hosts on each switch. A router connects the switches. */
function networkOf(count: number): { network: Network; hosts: Host[] } {
  const network = new Network();
  const core = network.router("core");
  const hosts: Host[] = [];
  for (let street = 0; street * hostsOnSwitch < count; street++) {
    const lan = network.switch(`switch-${street}`);
    network.link(lan, core);
    for (let house = 1; house <= hostsOnSwitch && hosts.length < count; house++) {
      const host = network.host(`host-${hosts.length}`, { address: `10.0.${street}.${house}` });
      network.link(host, lan);
      hosts.push(host);
    }
  }
  return { network, hosts };
}

/** Opens and binds the sockets of every host. */
async function settle(hosts: readonly Host[], each: number): Promise<Socket[][]> {
  const homes: Socket[][] = [];
  for (const host of hosts) {
    const sockets = Array.from({ length: each }, () => host.socket(AF_INET, SOCK_DGRAM));
    for (const [index, s] of sockets.entries()) await s.bind(["", port + index]);
    homes.push(sockets);
  }
  return homes;
}

/** Sends bursts, each after the one before was read. */
async function exchange(network: Network, from: Host, to: Host, task: Task): Promise<Figures> {
  const [out, into] = [from.socket(AF_INET, SOCK_DGRAM), to.socket(AF_INET, SOCK_DGRAM)];
  const [send, amount] = [sends(task.text("by")), task.number("amount")];
  const destination = [to.address, port - 1] as const;
  await into.bind(["", port - 1]);
  const total = Math.ceil((warmUp + amount) / burst) * burst;
  let received = 0;
  void reads(task.text("reader"))(into, (count) => (received += count) < total);
  let began = 0;
  let measured = 0;
  for (let sent = 0; sent < total; sent += burst) {
    if (sent >= warmUp && began === 0) [began, measured] = [realNow(), received];
    const expected = received + burst;
    await send(out, destination);
    while (received < expected) await new Promise<void>((done) => network.clock.turn(done));
  }
  return { perSecond: (received - measured) / ((realNow() - began) / 1000) };
}

type Send = (s: Socket, to: readonly [string, number]) => Promise<unknown>;

function sends(by: string): Send {
  if (by === "sendMany") return (s, to) => s.sendMany(payloads, to);
  if (by === "promises") return (s, to) => Promise.all(payloads.map((data) => s.sendto(data, to)));
  return async (s, to) => {
    for (const data of payloads) await s.sendto(data, to);
  };
}

/** Reads until `more` returns false. `more` gets the number of datagrams so far. */
type Read = (s: Socket, more: (datagrams: number) => boolean) => Promise<void>;

function reads(reader: string): Read {
  if (reader === "recvMany") {
    return async (s, more) => {
      while (more((await s.recvMany(burst)).length));
    };
  }
  return async (s, more) => {
    for await (const { data } of s) if (!more(data.length / payload.length)) break;
  };
}
