import { count } from "../core/ledger/count-text.js";

/** The largest number of peers that are counted. Sources can be forged, and memory is limited. */
export const maxPeers = 65_536;

/** A text such as `3 peers`. @param isMore whether peers came for which there was no room. */
export function peersText(peers: number, isMore: boolean): string {
  return isMore ? `${maxPeers} peers or more` : count(peers, "peer");
}

/** Counts the different peers of a session. */
export class PeerCount {
  readonly #peers = new Set<string>();

  add(source: string): void {
    if (this.#peers.size < maxPeers) this.#peers.add(source);
  }

  /** As `peersText`. */
  get text(): string {
    return peersText(this.#peers.size, this.#peers.size === maxPeers);
  }
}
