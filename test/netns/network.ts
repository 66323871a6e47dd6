/**
 * Hosts and the cables between them: each host is a network namespace, each cable a veth pair. They live as long as the
 * processes in them, and touch no interface of the machine.
 */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

import type { TestContext } from "vitest";

import { Program, prepared, requireAll } from "../process/programs.js";

/** Seconds after which a host ends by itself, should its test not have lived to end it. */
const mostSeconds = 120;

/** What makes a namespace, with a /sys that shows its own interfaces. */
const inNamespace: readonly string[] = [
  "unshare",
  "--net",
  "--mount",
  ...prepared("mount -t sysfs sysfs /sys && ip link set lo up"),
];

/** A computer of its own, as far as the network goes. */
export class Host {
  readonly pid: number;
  /** The start of a command that runs there. */
  readonly within: readonly string[];
  /** The same, on one CPU: what is sent stays in order on its way through the kernel, which has a queue a CPU. */
  readonly withinOneCpu: readonly string[];

  constructor(pid: number) {
    this.pid = pid;
    this.within = ["nsenter", `--target=${pid}`, "--net", "--mount", "--"];
    this.withinOneCpu = ["taskset", "--cpu-list", firstCpu(), ...this.within];
  }

  /** Runs a shell script there, and gives what it printed. @throws when it fails. */
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

/** A new host, with nothing but its loopback. It is gone when its test ends. */
export async function host(test: TestContext): Promise<Host> {
  const script = `echo $$; exec sleep ${mostSeconds}`;
  return new Host(Number(await new Program(test, [...inNamespace, "sh", "-c", script]).line()));
}

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
  // An IPv6 address is of use at once where no duplicate is looked for, on an interface that is up already.
  for (const { at, end } of ends) {
    at.run(`echo 0 > /proc/sys/net/ipv6/conf/${end}/accept_dad; ip link set ${end} mtu ${mtu} up`);
  }
  for (const { at, end, last } of ends) {
    at.run(`
      ip addr add 10.77.${number}.${last}/24 dev ${end}
      ip addr add fd00:77:${number}::${last}/64 dev ${end}
    `);
  }
}

/** Two hosts on one cable. */
export async function twoHosts(test: TestContext): Promise<[Host, Host]> {
  needNetworks(test);
  const pair = await Promise.all([host(test), host(test)]);
  join(...pair, 0);
  return pair;
}

/**
 * Has an end of a cable take all that arrives in one queue, that of the CPU that `withinOneCpu` names. A queueing
 * discipline at the other end sends from whichever CPU finds its time come.
 */
export function inOneQueue(at: Host, end: string): void {
  const cpu = Number(firstCpu());
  const mask = ((1 << (cpu % 32)) >>> 0).toString(16) + ",00000000".repeat(Math.floor(cpu / 32));
  at.run(`echo ${mask} > /sys/class/net/${end}/queues/rx-0/rps_cpus`);
}

/** Skips a test where no host can be made, but where every test is required. */
export function needNetworks(test: TestContext): void {
  const [command, ...args] = [
    ...inNamespace,
    ...prepared("ip link add dg0a type veth peer name dg0b"),
    ..."tc qdisc add dev dg0a root tbf rate 20mbit burst 20kb limit 1mb".split(" "),
  ];
  if (!requireAll && spawnSync(command!, args, { stdio: "ignore" }).status !== 0) {
    test.skip("skipped: no hosts and cables can be made here (root, unshare, ip, tc)");
  }
}

/** The first CPU that this process may run on. */
function firstCpu(): string {
  return /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
}
