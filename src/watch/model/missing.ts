import { count } from "../../core/ledger/count-text.js";
import type { DecoderLoss } from "../../message/codec.js";
import type { NewLoss } from "./loss-log.js";
import { looksLikeRtp } from "./payload-look.js";
import type { Peer } from "./peer.js";

/** Packets in order after which a peer is believed to send RTP: any bytes may look like one packet of it. */
const believedFrom = 8;
/** A packet that is more numbers ahead begins a new stream: MAX_DROPOUT of RFC 3550 appendix A.1. */
const maxAhead = 3000;
/** A packet that is more numbers late begins a new stream: MAX_MISORDER of RFC 3550 appendix A.1. */
const maxLate = 100;

/** The numbers of the RTP packets of one peer. */
interface Stream {
  ssrc: number;
  /** The number of the next packet, 0 to 65,535. */
  next: number;
  /** Packets in order, up to `believedFrom`. */
  inOrder: number;
  /** Packets that are missing since the last report. They may still come. */
  missing: number;
  /** Packets that were missing at the last report already. */
  lost: number;
}

/** Pictures of one peer that lack a part. */
interface Broken {
  pictures: number;
  /** Their missing datagrams, as far as the format tells. */
  datagrams: number;
}

/**
 * Finds what did not arrive by what the senders say: by the numbers of RTP packets, and by pictures that lack a part. The losses
 * of a network are seen in no other way.
 */
export class Missing {
  /** Of the peers that may send RTP. A peer that is forgotten takes its stream along. */
  #streams = new WeakMap<Peer, Stream>();
  /** The peers whose streams have something to report. */
  #gaps = new Set<Peer>();
  readonly #broken = new Map<Peer, Broken>();

  /** Takes a datagram that may be RTP. */
  take(peer: Peer, data: Uint8Array): void {
    if (!looksLikeRtp(data)) return;
    const number = uint16(data, 2);
    const ssrc = uint16(data, 8) * 65_536 + uint16(data, 10);
    const stream = this.#streams.get(peer);
    if (!stream) {
      this.#streams.set(peer, { ssrc, next: (number + 1) & 0xffff, inOrder: 0, missing: 0, lost: 0 });
      return;
    }
    const ahead = ((number - stream.next) << 16) >> 16;
    const isBelieved = stream.inOrder >= believedFrom;
    if (ssrc === stream.ssrc && ahead === 0) {
      if (!isBelieved) stream.inOrder++;
    } else if (ssrc === stream.ssrc && isBelieved && ahead >= -maxLate && ahead <= maxAhead) {
      if (ahead < 0) {
        // It was missing, or it came twice.
        if (stream.missing > 0) stream.missing--;
        else if (stream.lost > 0) stream.lost--;
        return;
      }
      stream.missing += ahead;
      this.#gaps.add(peer);
    } else {
      stream.ssrc = ssrc;
      stream.inOrder = 0;
    }
    stream.next = (number + 1) & 0xffff;
  }

  /** A picture of a peer, or a message with one, is not complete. */
  broken(peer: Peer, { missing = 0 }: DecoderLoss): void {
    const broken = this.#broken.get(peer) ?? { pictures: 0, datagrams: 0 };
    broken.pictures++;
    broken.datagrams += missing;
    this.#broken.set(peer, broken);
  }

  /** What is lost since the last call: at most one report of each kind for each source. */
  report(atMs: number): NewLoss[] {
    return [...this.#reportGaps(atMs), ...this.#reportBroken(atMs)];
  }

  clear(): void {
    this.#streams = new WeakMap();
    this.#gaps.clear();
    this.#broken.clear();
  }

  /** A packet that another one overtook is not lost: it has the time until the next report to come. */
  #reportGaps(atMs: number): NewLoss[] {
    const lost = new Map<Peer, number>();
    for (const peer of this.#gaps) {
      const stream = this.#streams.get(peer);
      if (!stream || peer.forgotten) {
        this.#gaps.delete(peer);
        continue;
      }
      if (stream.lost > 0) lost.set(peer, stream.lost);
      stream.lost = stream.missing;
      stream.missing = 0;
      if (stream.lost === 0) this.#gaps.delete(peer);
    }
    return [...bySource(lost)].map(([source, { peer, datagrams, others, ofOthers }]) => {
      const more = others === 0 ? "" : `, and at least ${ofOthers} of ${others} other peers`;
      return {
        ...{ cause: "network", atMs, source, peer: peer.id, datagrams: datagrams + ofOthers, atLeast: true },
        sentence: `At least ${count(datagrams, "datagram")} of ${peer.address} did not arrive${more}: the numbers of the RTP packets have gaps.`,
        advice:
          "Losses of the receive buffer at this time are among them. Other ones are of the network: use a cable or another Wi-Fi channel, or send at a lower rate.",
      };
    });
  }

  #reportBroken(atMs: number): NewLoss[] {
    const pictures = new Map([...this.#broken].map(([peer, broken]) => [peer, broken.pictures]));
    const reports = [...bySource(pictures)].map(
      ([source, { peer, datagrams: own, others, ofOthers }]): NewLoss => {
        const missing = this.#broken.get(peer)?.datagrams ?? 0;
        const [is, its] = own === 1 ? ["is", "its"] : ["are", "their"];
        const parts = missing === 0 ? `some of ${its} datagrams` : `at least ${missing} of ${its} datagrams`;
        const more = others === 0 ? "" : ` So are ${ofOthers} of ${others} other peers.`;
        return {
          ...{
            cause: "message",
            atMs,
            source,
            peer: peer.id,
            datagrams: missing === 0 ? undefined : missing,
          },
          atLeast: true,
          sentence: `${count(own, "picture")} of ${peer.address} ${is} not complete: ${parts} did not arrive.${more}`,
          advice:
            peer.picture === "message"
              ? "This page only looks on: a receiver of datagram/message asks for missing parts, or repairs them with parities."
              : "One lost datagram costs a picture: send smaller ones, or use datagram/message, which sends missing parts again.",
        };
      },
    );
    this.#broken.clear();
    return reports;
  }
}

/** The counts of one source: those of the peer that has the most, and of the others. */
interface OfSource {
  peer: Peer;
  datagrams: number;
  others: number;
  ofOthers: number;
}

function bySource(counts: ReadonlyMap<Peer, number>): Map<number, OfSource> {
  const sources = new Map<number, OfSource>();
  for (const [peer, datagrams] of [...counts].sort(([, a], [, b]) => b - a)) {
    const known = sources.get(peer.source);
    if (!known) sources.set(peer.source, { peer, datagrams, others: 0, ofOthers: 0 });
    else {
      known.others++;
      known.ofOthers += datagrams;
    }
  }
  return sources;
}

function uint16(data: Uint8Array, at: number): number {
  return (data[at] as number) * 256 + (data[at + 1] as number);
}
