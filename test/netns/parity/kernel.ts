/** The hosts of the situations as network namespaces, connected by cables. */

import { setTimeout } from "node:timers/promises";

import type { Lifetime } from "../../process/programs.js";
import { Agent, fixture } from "../agent.js";
import { type Host, host, impatient, outspoken } from "../network.js";
import type { Call } from "./player.js";
import { type Ground, type HostName, type Lost, addresses, mappingMs } from "./world.js";

/** The rules that drop arriving packets, in the syntax of nft(8). */
const rules: Readonly<Record<Exclude<Lost, object>, string>> = {
  all: "drop",
  icmp: "meta l4proto { icmp, icmpv6 } drop",
  "first fragments": "ip frag-off & 0x3fff == 0x2000 drop; frag frag-off 0 frag more-fragments 1 drop",
  "last fragments":
    "ip frag-off & 0x2000 == 0 ip frag-off & 0x1fff != 0 drop; frag frag-off != 0 frag more-fragments 0 drop",
  "later fragments": "ip frag-off & 0x1fff != 0 drop; frag frag-off != 0 drop",
};

export class Kernel implements Ground {
  readonly #life: Lifetime;
  readonly #hosts: Readonly<Record<HostName | "router", Host>>;
  readonly #agents = new Map<HostName, Agent>();

  /** Makes the hosts. They exist as long as `life`. */
  static async make(life: Lifetime): Promise<Kernel> {
    const names = ["desk", "router", "camera", "inner", "lamp"] as const;
    const made = await Promise.all(names.map(async (name) => [name, await host(life)] as const));
    return new Kernel(life, Object.fromEntries(made) as Record<HostName | "router", Host>);
  }

  private constructor(life: Lifetime, hosts: Readonly<Record<HostName | "router", Host>>) {
    this.#life = life;
    this.#hosts = hosts;
    const { desk, router, camera, inner, lamp } = hosts;
    const at = addresses;
    desk.run(`
      ip link add eth0 type veth peer name eth0 netns ${router.pid}
      ip link add eth1 type veth peer name eth0 netns ${lamp.pid}
      ${up("eth0")}; ${up("eth1")}
      ip addr add ${at.desk.address}/24 brd + dev eth0; ip addr add ${at.desk.address6}/64 dev eth0
      ip addr add ${at.desk.by}/24 brd + dev eth1; ip addr add ${at.desk.by6}/64 dev eth1
    `);
    router.run(`
      ip link add eth1 type veth peer name eth0 netns ${camera.pid}
      ip link add eth2 type veth peer name eth0 netns ${inner.pid}
      ${up("eth0")}; ${up("eth1", 1280)}; ${up("eth2")}
      ip addr add ${at.router.address}/24 dev eth0; ip addr add ${at.router.address6}/64 dev eth0
      ip addr add 10.77.1.254/24 dev eth1; ip addr add fd00:77:1::fe/64 dev eth1
      ip addr add 192.168.77.254/24 dev eth2; ip addr add fd00:77:3::fe/64 dev eth2
      echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
      nft -f - <<'RULES'
        table ip nat {
          chain out {
            type nat hook postrouting priority 100
            ip saddr 192.168.77.0/24 snat to ${at.router.address}
          }
          chain in {
            type filter hook input priority 0
            udp dport 1-65535 drop
          }
        }\nRULES
      echo ${mappingMs / 1000} > /proc/sys/net/netfilter/nf_conntrack_udp_timeout
      echo ${mappingMs / 1000} > /proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream
    `);
    for (const [name, place, mtu] of [
      ["camera", "10.77.1", 1280],
      ["inner", "192.168.77", 1500],
    ] as const) {
      const gateway = at[name].address6.replace(/2$/, "fe");
      hosts[name].run(`
        ${up("eth0", mtu)}
        ip addr add ${at[name].address}/24 dev eth0; ip addr add ${at[name].address6}/64 dev eth0
        ip route add default via ${place}.254; ip -6 route add default via ${gateway}
      `);
    }
    lamp.run(`
      ${up("eth0")}
      ip addr add ${at.lamp.address}/24 brd + dev eth0; ip addr add ${at.lamp.address6}/64 dev eth0
      echo 1 > /proc/sys/net/ipv4/ipfrag_time; echo 1 > /proc/sys/net/ipv6/ip6frag_time
    `);
    desk.run(`
      ip route add default via ${at.router.address}; ip -6 route add default via ${at.router.address6}
    `);
    for (const each of Object.values(hosts)) outspoken(each);
    impatient(desk, "eth1");
  }

  async do(name: HostName, call: Call): Promise<unknown> {
    let agent = this.#agents.get(name);
    if (!agent) {
      const command = [...this.#hosts[name].withinOneCpu, ...fixture("player")];
      this.#agents.set(name, (agent = new Agent(this.#life, command, "native")));
    }
    // A call that waits while its host crashes has this outcome.
    return agent.call(call).catch((error: unknown) => ({ ended: String(error) }));
  }

  lose(name: "camera" | "lamp", lost: Lost): () => void {
    const rule = typeof lost === "string" ? rules[lost] : `udp dport ${lost.port} drop`;
    this.#hosts[name].run(`nft -f - <<'RULES'
      table netdev parity {
        chain arriving {
          type filter hook ingress device "eth0" priority 0
          ${rule.replaceAll("; ", "\n")}
        }
      }\nRULES`);
    return () => void this.#hosts[name].run("nft delete table netdev parity");
  }

  async crash(name: "camera" | "lamp"): Promise<void> {
    this.lose(name, "all");
    await this.#agents.get(name)?.kill();
    this.#agents.delete(name);
  }

  restart(name: "camera" | "lamp"): void {
    this.#hosts[name].run("nft delete table netdev parity");
  }

  async pass(ms: number): Promise<void> {
    await setTimeout(ms);
  }
}

/** The commands that bring an interface up, so that its IPv6 addresses are usable at once. */
function up(end: string, mtu = 1500): string {
  return `echo 0 > /proc/sys/net/ipv6/conf/${end}/accept_dad; ip link set ${end} mtu ${mtu} up`;
}
