/** Peers that one mapping remembers; past that many, the one that was sent to the longest ago is forgotten. */
const maxPeers = 1024;

/** Whom the inside has sent to through one mapping. */
export class NatPeers {
  /** `host port`, the one that was sent to last at the end. */
  readonly #peers = new Set<string>();
  /** How many of them each host has. */
  readonly #hosts = new Map<string, number>();

  /** The inside has sent to a peer. */
  add(host: string, port: number): void {
    const peer = `${host} ${port}`;
    if (this.#peers.delete(peer)) {
      this.#peers.add(peer);
      return;
    }
    this.#peers.add(peer);
    this.#hosts.set(host, (this.#hosts.get(host) ?? 0) + 1);
    if (this.#peers.size > maxPeers) this.#forgetOldest();
  }

  has(host: string, port: number): boolean {
    return this.#peers.has(`${host} ${port}`);
  }

  /** Whether the inside has sent to any port of a host. */
  hasHost(host: string): boolean {
    return this.#hosts.has(host);
  }

  #forgetOldest(): void {
    const [oldest = ""] = this.#peers;
    this.#peers.delete(oldest);
    const host = oldest.slice(0, oldest.indexOf(" "));
    const left = (this.#hosts.get(host) ?? 1) - 1;
    if (left > 0) this.#hosts.set(host, left);
    else this.#hosts.delete(host);
  }
}
