import { peerOfToken } from "./subjects.js";

/** The largest number of peers that are counted one by one between two reports. */
const maxPeers = 1024;

/** The datagrams of one peer that were shed. */
export interface PeerLosses {
  /** The address of the peer, such as `"10.0.0.7:9000"`. */
  readonly peer: string;
  /** The number of its datagrams that were shed. */
  readonly datagrams: number;
}

/** The losses since the last report. */
export interface Losses {
  /** Datagrams that were shed. */
  readonly shed: number;
  /** The shed datagrams by peer, the largest count first, of at most 1,024 peers. */
  readonly peers: readonly PeerLosses[];
  /** Shed datagrams of all further peers. */
  readonly others: number;
  /** Datagrams that the server or the stream refused, by reason. */
  readonly refused: Readonly<Record<string, number>>;
}

/** Counts losses between two reports, in bounded memory. */
export class LossCounts {
  #shed = 0;
  #others = 0;
  readonly #peers = new Map<string, number>();
  readonly #refused = new Map<string, number>();

  /** @param peer the token of the peer. */
  shed(peer: string): void {
    this.#shed++;
    const count = this.#peers.get(peer);
    if (count === undefined && this.#peers.size >= maxPeers) this.#others++;
    else this.#peers.set(peer, (count ?? 0) + 1);
  }

  /** @param count of datagrams. */
  refused(reason: string, count: number): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + count);
  }

  /** Returns the losses since the last call; `undefined` if there were none. */
  take(): Losses | undefined {
    if (this.#shed === 0 && this.#refused.size === 0) return undefined;
    const peers = [...this.#peers]
      .sort(([, one], [, other]) => other - one)
      .map(([token, datagrams]) => ({ peer: String(peerOfToken(token)), datagrams }));
    const losses = {
      shed: this.#shed,
      peers,
      others: this.#others,
      refused: Object.fromEntries(this.#refused),
    };
    this.#shed = this.#others = 0;
    this.#peers.clear();
    this.#refused.clear();
    return losses;
  }
}
