/** The number of peers that one mapping remembers. Above it, the peer whose last datagram is the oldest is forgotten. */
const maxPeers = 1024;

/** The outside peers to which an inside host has sent through one mapping. */
export class NatPeers {
  /** As `host port`, in the order of the last datagram to each. */
  readonly #peers = new Set<string>();
  /** The number of peers on each host. */
  readonly #hosts = new Map<string, number>();

  /** Notes that the inside host has sent to a peer. */
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

  /** Whether the inside host has sent to any port of a host. */
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
