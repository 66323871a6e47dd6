import { count } from "./terminal.js";

/** The largest number of peers that are counted. Sources can be forged, and memory is limited. */
const maxPeers = 65_536;

/** Counts the different peers of a session. */
export class PeerCount {
  readonly #peers = new Set<string>();

  add(source: string): void {
    if (this.#peers.size < maxPeers) this.#peers.add(source);
  }

  /** A text such as `3 peers`. */
  get text(): string {
    return this.#peers.size < maxPeers ? count(this.#peers.size, "peer") : `${maxPeers} peers or more`;
  }
}
