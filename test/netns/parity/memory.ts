/** The hosts of the situations in the simulated network. */

import { setTimeout } from "node:timers/promises";

import { type Host, type Link, Network, type Packet } from "datagram/sim";

import { Player } from "./player.js";
import { type Ground, type HostName, type Lost, addresses, mappingMs } from "./world.js";

export class Memory implements Ground {
  readonly network: Network = new Network({ seed: 30 });
  readonly #hosts: Record<HostName, { readonly host: Host; player: Player }>;
  readonly #links: Record<"camera" | "lamp", Link>;

  constructor() {
    const { desk, router, camera, inner, lamp } = addresses;
    const nat = { inside: ["192.168.77.0/24"], mappingTimeoutMs: mappingMs };
    const between = this.network.router("router", { addresses: [router.address, router.address6], nat });
    const made = (name: HostName, ...own: string[]) => {
      const host = this.network.host(name, { addresses: own });
      return { host, player: new Player(host.socket.bind(host)) };
    };
    this.#hosts = {
      desk: made("desk", desk.address, desk.address6, desk.by, desk.by6),
      camera: made("camera", camera.address, camera.address6),
      inner: made("inner", inner.address, inner.address6),
      lamp: made("lamp", lamp.address, lamp.address6),
    };
    const [one, other] = [this.#hosts.desk.host, this.#hosts.lamp.host];
    this.network.link(one, between);
    this.#links = {
      camera: this.network.link(between, this.#hosts.camera.host, { mtuBytes: 1280 }),
      lamp: this.network.link(one, other),
    };
    this.network.link(this.#hosts.inner.host, between);
  }

  do(host: HostName, call: Parameters<Ground["do"]>[1]): Promise<unknown> {
    return this.#hosts[host].player.do(call);
  }

  lose(host: "camera" | "lamp", lost: Lost): () => void {
    return this.#links[host].drop((packet) => isLost(packet, lost), "up");
  }

  async crash(name: "camera" | "lamp"): Promise<void> {
    this.#hosts[name].host.crash();
    return Promise.resolve();
  }

  restart(name: "camera" | "lamp"): void {
    const { host } = this.#hosts[name];
    host.restart();
    this.#hosts[name].player = new Player(host.socket.bind(host));
  }

  async pass(ms: number): Promise<void> {
    await setTimeout(ms);
  }
}

function isLost({ content, offset, moreFragments }: Packet, lost: Lost): boolean {
  switch (lost) {
    case "all":
      return true;
    case "icmp":
      return content.protocol === "icmp";
    case "first fragments":
      return offset === 0 && moreFragments;
    case "last fragments":
      return offset > 0 && !moreFragments;
    case "later fragments":
      return offset > 0;
    default:
      return content.protocol === "udp" && content.destinationPort === lost.port;
  }
}
