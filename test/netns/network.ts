/**
 * Hosts and the cables between them: each host is a network namespace, each cable a veth pair. They exist as long as the
 * processes in them, and use no interface of the machine.
 */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

import type { TestContext } from "vitest";

import { type Lifetime, Program, prepared, requireAll, sharedLifetime } from "../process/programs.js";

/** The command that makes a namespace, with a /sys that shows its own interfaces. */
const inNamespace: readonly string[] = [
  "unshare",
  "--net",
  "--mount",
  ...prepared("mount -t sysfs sysfs /sys && ip link set lo up"),
];

/** A computer with a network of its own. */
export class Host {
  readonly pid: number;
  /** The first words of a command that runs on this host. */
  readonly within: readonly string[];
  /** The same, on one CPU: the kernel has a queue for each CPU, so packets stay in order only on one CPU. */
  readonly withinOneCpu: readonly string[];
  /** The owner of the host. */
  readonly life: Lifetime;

  constructor(pid: number, life: Lifetime) {
    this.pid = pid;
    this.life = life;
    this.within = ["nsenter", `--target=${pid}`, "--net", "--mount", "--"];
    this.withinOneCpu = ["taskset", "--cpu-list", firstCpu(), ...this.within];
  }

  /** Runs a shell script that changes the network, and another one that restores it after the test. */
  changeFor(test: TestContext, change: string, restore: string): void {
    this.run(change);
    test.onTestFinished(() => void this.run(`${restore}\n${untilUsable}`));
  }

  /** Runs a shell script on this host, and returns its output. @throws if the script fails. */
  run(script: string): string {
    const [command = "", ...args]: readonly string[] = [...this.within, "sh", "-ec", script];
    const { status, stdout, stderr, error } = spawnSync(command, args, {
      encoding: "utf8",
      timeout: 10_000,
    });
    if (status !== 0) throw new Error(`${script}\nended (${String(status)})\n${stderr}`, { cause: error });
    return stdout;
  }
}

/** A new host with a loopback interface only. It is gone when its owner ends. */
export async function host(life: Lifetime): Promise<Host> {
  // If the process of the tests is killed, the standard input ends, and the host with it.
  const command = [...inNamespace, "sh", "-c", "echo $$; exec cat"];
  return new Host(Number(await new Program(life, command, process.env, "pipe").line()), life);
}

/**
 * Hosts that several tests of a file share, one after the other. A test that changes their network restores it, or
 * has hosts of its own.
 *
 * @param make makes the hosts, when the first test asks for them.
 */
export function sharedHosts<T>(make: (life: Lifetime) => Promise<T>): (test: TestContext) => Promise<T> {
  const life = sharedLifetime();
  let made: Promise<T> | undefined;
  return (test) => {
    needNetworks(test);
    return (made ??= make(life));
  };
}

/** The script that waits until the host can use all its IPv6 addresses. All its interfaces must be up. */
export const untilUsable = "while ip -6 -oneline addr show tentative | grep -q .; do sleep 0.01; done";

/**
 * Puts a cable between two hosts: `dg<number>a` at the first, which is 10.77.<number>.1 and fd00:77:<number>::1, and
 * `dg<number>b` at the second, which is 10.77.<number>.2 and fd00:77:<number>::2.
 */
export function join(first: Host, second: Host, number: number, mtu = 1500): void {
  first.run(`ip link add dg${number}a type veth peer name dg${number}b netns ${second.pid}`);
  const ends = [
    { at: first, end: `dg${number}a`, last: 1 },
    { at: second, end: `dg${number}b`, last: 2 },
  ];
  // Without duplicate address detection, an IPv6 address is usable as soon as the kernel has seen that the interface is up.
  // With `keep_addr_on_down` it stays when the interface goes down, as an IPv4 address does.
  for (const { at, end } of ends) {
    at.run(`
      cd /proc/sys/net/ipv6/conf/${end}; echo 0 > accept_dad; echo 1 > keep_addr_on_down
      ip link set ${end} mtu ${mtu} up
    `);
  }
  for (const { at, end, last } of ends) {
    at.run(`
      ip addr add 10.77.${number}.${last}/24 dev ${end}
      ip addr add fd00:77:${number}::${last}/64 dev ${end}
      ${untilUsable}
    `);
  }
}

/** Two hosts on one cable. */
export async function twoHosts(test: TestContext): Promise<[Host, Host]> {
  needNetworks(test);
  return cabledHosts(test);
}

/** The same, for `sharedHosts`. */
export async function cabledHosts(life: Lifetime): Promise<[Host, Host]> {
  const pair = await Promise.all([host(life), host(life)]);
  join(...pair, 0);
  return pair;
}

/** A host, a router next to it, and another host behind the router. */
export interface Row {
  readonly from: Host;
  readonly router: Host;
  readonly to: Host;
}

export type Addresses = (typeof families)[number];

/** The addresses of the hosts, for tests that are the same over IPv4 and IPv6. */
export const families = [
  {
    family: "IPv4",
    /** Bytes of a packet before the payload of a datagram. */
    headerBytes: 28,
    /** The first host. The second host, or the router, is at the other end of its cable. */
    from: "10.77.0.1",
    next: "10.77.0.2",
    /** Behind the router. */
    to: "10.77.1.2",
    /** An address on the first cable that no host has. */
    nobody: "10.77.0.9",
    any: "0.0.0.0",
  },
  {
    family: "IPv6",
    headerBytes: 48,
    from: "fd00:77::1",
    next: "fd00:77::2",
    to: "fd00:77:1::2",
    nobody: "fd00:77::9",
    any: "::",
  },
] as const;

/** Two hosts with a router between them. The MTU behind the router is `mtu` bytes. */
export async function acrossRouter(test: TestContext, mtu = 1500): Promise<Row> {
  needNetworks(test);
  return routedHosts(test, mtu);
}

/** The script that sends what the first host has no other route for to the router. */
export const defaultRoutes = "ip route add default via 10.77.0.2; ip -6 route add default via fd00:77:0::2";

/** The same, for `sharedHosts`. */
export async function routedHosts(life: Lifetime, mtu = 1500): Promise<Row> {
  const [from, router, to] = await Promise.all([host(life), host(life), host(life)]);
  router.run("echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
  join(from, router, 0);
  join(router, to, 1, mtu);
  from.run(defaultRoutes);
  to.run("ip route add default via 10.77.1.1; ip -6 route add default via fd00:77:1::1");
  return { from, router, to };
}

/** Makes a host send all ICMP errors. By default it sends a few per second. */
export function outspoken(at: Host): void {
  // Old kernels have the last setting only for the whole machine.
  at.run(`
    echo 0 > /proc/sys/net/ipv4/icmp_ratelimit
    echo 0 > /proc/sys/net/ipv6/icmp/ratelimit
    test ! -e /proc/sys/net/ipv4/icmp_msgs_per_sec || echo 1000000 > /proc/sys/net/ipv4/icmp_msgs_per_sec
  `);
}

/** Makes a host give up a silent neighbour after a tenth of a second, instead of three. */
export function impatient(at: Host, end: string): void {
  for (const family of ["ipv4", "ipv6"]) {
    at.run(`cd /proc/sys/net/${family}/neigh/${end}; echo 1 > mcast_solicit; echo 100 > retrans_time_ms`);
  }
}

/**
 * Makes a host drop packets that arrive at an end of a cable, before it joins fragments. Ends an earlier call for this host.
 *
 * @param which the packets, in the syntax of nft(8).
 * @param percent how many percent of them are dropped, at random.
 * @returns a function that reads how many of these packets have arrived, and how many were dropped.
 */
export function dropping(
  at: Host,
  end: string,
  which: string,
  percent: number,
): () => { came: number; dropped: number } {
  at.run(`nft -f - <<'RULES'
    table netdev dg { }
    delete table netdev dg
    table netdev dg {
      counter came { }
      counter dropped { }
      chain arriving {
        type filter hook ingress device "${end}" priority 0
        ${which} counter name "came" numgen random mod 100 <= ${percent - 1} counter name "dropped" drop
      }
    }\nRULES`);
  return () => {
    const [came, dropped] = ["came", "dropped"].map((name) =>
      Number(/packets (\d+)/.exec(at.run(`nft list counter netdev dg ${name}`))?.[1]),
    );
    return { came: came!, dropped: dropped! };
  };
}

/** A counter of the host's kernel since the host exists, such as `"UdpSndbufErrors"`. nstat(8). */
export function kernelCount(at: Host, name: string): number {
  return Number(new RegExp(`^${name} +(\\d+)`, "m").exec(at.run(`nstat -asz ${name}`))?.[1]);
}

/**
 * Makes an end of a cable put all packets in one queue: that of the CPU that `withinOneCpu` names. A queueing discipline at
 * the other end sends from any CPU.
 */
export function inOneQueue(at: Host, end: string): void {
  const cpu = Number(firstCpu());
  const mask = ((1 << (cpu % 32)) >>> 0).toString(16) + ",00000000".repeat(Math.floor(cpu / 32));
  at.run(`echo ${mask} > /sys/class/net/${end}/queues/rx-0/rps_cpus`);
}

/** Skips a test if no host can be made, unless every test is required. */
export function needNetworks(test: TestContext): void {
  const why = whyNoNetworks();
  if (why !== undefined) test.skip(why);
}

/** Why no host can be made here. Never a reason if every test is required. */
export function whyNoNetworks(): string | undefined {
  if (requireAll || (canMakeNetworks ??= makesNetwork())) return undefined;
  return "skipped: no hosts and cables can be made here (root, unshare, ip, tc, nft)";
}

let canMakeNetworks: boolean | undefined;

function makesNetwork(): boolean {
  const [command, ...args] = [
    ...inNamespace,
    ...prepared(
      `ip link add dg0a type veth peer name dg0b &&
      tc qdisc add dev dg0a root tbf rate 20mbit burst 20kb limit 1mb &&
      nft 'add table netdev dg; add chain netdev dg in { type filter hook ingress device dg0a priority 0; }'`,
    ),
    "true",
  ];
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

/** The first CPU that this process may run on. */
function firstCpu(): string {
  return /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
}
