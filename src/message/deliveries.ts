import type { Ancillary } from "../core/driver/ancillary.js";
import { Outbound } from "../core/driver/outbound.js";
import { OSError } from "../core/errors/errors.js";
import { onAbort } from "../core/receive/abort.js";
import { engineOf } from "../core/socket/settings.js";
import { type Socket, answerBatch, answerTo } from "../core/socket/socket.js";
import { type Frame, frameFlag, frameKind, longestBytes } from "../wire/message-frame.js";
import { Burst, datagramBytes } from "./burst.js";
import type { Job, Outcome, SenderHost } from "./job.js";
import { arrivedText, causedError, reasonOfSilence, refusedError, timeoutError } from "./failures.js";
import { MessageError, type Receipt } from "./message.js";
import type { Checked, MessagesOptions } from "./options.js";
import { Outgoing } from "./outgoing.js";
import type { OrderedIds, Peer } from "./peers.js";
import { Sender } from "./sender.js";

/** How much of a message the peer has reported. */
export type SendProgress = Pick<Outgoing, "chunks" | "ackedChunks">;

/** A message to send. */
export interface Parcel {
  readonly kind: number;
  readonly flags: number;
  readonly channel: number;
  readonly data: Uint8Array;
  readonly parity: number;
  readonly deadlineMs: number | undefined;
  /** The id, if it is not the next one. */
  readonly id?: number;
  /** The route of a reply: from the address that the request was sent to. */
  readonly route?: Ancillary | undefined;
  /** Called when the message is divided into chunks, before it waits for its turn, and when it is divided anew. */
  readonly divided?: (progress: SendProgress) => void;
  /** Called when the message has its id, before its first chunk leaves. */
  readonly started?: (id: number) => void;
}

/** What deliveries need of their owner. */
export interface DeliveriesHost {
  readonly isClosed: boolean;
  /** A call waits, or one no longer waits. */
  waits(on: boolean): void;
  /** Asks a peer to prove that it receives at its address. */
  askForProof(peer: Peer): void;
  /** Sends a PROBE to a peer. */
  ask(peer: Peer): void;
  /** Counts a datagram that was not sent. */
  drop(cause: string): void;
}

/** Messages to one peer that may wait. */
const maxPending = 16_384;

/** Sends whole messages: gives them their ids, and turns the end of each into a result or an error. */
export class Deliveries {
  readonly #socket: Socket;
  readonly #options: Checked<MessagesOptions>;
  readonly #host: DeliveriesHost;

  constructor(socket: Socket, options: Checked<MessagesOptions>, host: DeliveriesHost) {
    this.#socket = socket;
    this.#options = options;
    this.#host = host;
  }

  /** Sends a message, and waits for its end. */
  async send(peer: Peer, parcel: Parcel, syscall: string, signal?: AbortSignal): Promise<Receipt> {
    if (this.#host.isClosed) throw new OSError("EBADF", { syscall, text: "the messages are closed" });
    const sender = this.#senderOf(peer);
    const start = this.#socket.clock.now();
    const message = { length: parcel.data.length, size: sender.chunkSize.at(start) };
    const limit = longestBytes(message.size);
    if (message.length > limit) {
      const text = `${message.length} bytes are over the ${limit} bytes of the longest message in chunks of ${message.size} bytes`;
      throw refusedError("EMSGSIZE", peer, syscall, message, text, limit);
    }
    if (sender.pending >= maxPending) {
      const text = `${maxPending} messages to this peer wait already`;
      throw refusedError("ENOBUFS", peer, syscall, message, text);
    }
    this.#host.waits(true);
    try {
      const { outcome, outgoing } = await this.#run(peer, sender, parcel, signal);
      const { chunks, sentChunks, resent: repaired } = outgoing;
      if (!this.#isFailure(outcome, outgoing)) {
        return { chunks, sentChunks, repaired, elapsedMs: this.#socket.clock.now() - start };
      }
      if (signal?.aborted === true) throw signal.reason;
      throw this.#failure(outcome, outgoing, peer, syscall, parcel.deadlineMs);
    } finally {
      this.#host.waits(false);
    }
  }

  /** Sends the first chunk of a request again, outside of the window, so that the peer may answer more. */
  nudge(peer: Peer, parcel: Parcel, id: number): void {
    const outgoing = this.#outgoing(parcel, this.#senderOf(peer).chunkSize.at(this.#socket.clock.now()));
    outgoing.frame.id = id;
    const burst = new Burst(
      new Outbound({ bytes: datagramBytes(outgoing.frame, 0), datagrams: 1 }),
      outgoing,
    );
    burst.chunk(0, 1, true);
    const { arena, bytes } = burst.end();
    // Not as a batch, which does not count against the limit of bytes that wait: a reminder has no window.
    answerTo(this.#socket, arena.subarray(0, bytes), peer.address, undefined).catch(() =>
      this.#host.drop("unsent"),
    );
  }

  #senderOf(peer: Peer): Sender {
    return (peer.sender ??= this.#newSender(peer));
  }

  #newSender(peer: Peer): Sender {
    const { windowChunks, chunkBytes, rateBps, giveUpMs } = this.#options;
    const host: SenderHost = {
      clock: this.#socket.clock,
      copyPieces: engineOf(this.#socket).copyPieces,
      transmit: (batch, to, route) => answerBatch(this.#socket, batch, to, route),
      mayReply: (bytes) => {
        if (peer.mayAnswer(bytes)) return true;
        this.#host.askForProof(peer);
        return false;
      },
      ask: () => this.#host.ask(peer),
      blackHole: () => this.#blackHole(peer),
    };
    return new Sender(host, peer.address, { windowChunks, chunkBytes, rateBps, giveUpMs });
  }

  /** Warns once for each peer. */
  #blackHole({ address: { host, port }, sender }: Peer): void {
    if (sender?.chunkSize.blackHoles !== 1) return;
    const { chunkBytes } = this.#options;
    engineOf(this.#socket).warn({
      code: "CHUNKS_VANISH",
      message:
        `chunks of ${chunkBytes} bytes to ${host}:${port} vanish on the path without an ICMP error, and small datagrams arrive: ` +
        "messages to this peer now have chunks of 1200 bytes. Use chunkBytes: 1200 to lose no time with this.",
    });
  }

  #outgoing({ kind, flags, channel, data, deadlineMs, parity, route }: Parcel, size: number): Outgoing {
    const attempt =
      (flags & frameFlag.fleeting) !== 0 && kind === frameKind.data && deadlineMs !== undefined
        ? Math.min(255, Math.ceil(deadlineMs / 10))
        : 0;
    const header = { kind, flags, channel, attempt, id: 0, index: 0, size, length: data.length };
    return new Outgoing(
      header,
      data,
      Math.min(parity, Math.ceil(data.length / size)),
      route,
      engineOf(this.#socket).crc32,
    );
  }

  #run(
    peer: Peer,
    sender: Sender,
    parcel: Parcel,
    signal?: AbortSignal,
  ): Promise<{ outcome: Outcome; outgoing: Outgoing }> {
    const divide = (size: number): Outgoing => {
      const divided = this.#outgoing(parcel, size);
      parcel.divided?.(divided);
      return divided;
    };
    const outgoing = divide(sender.chunkSize.at(this.#socket.clock.now()));
    const { frame } = outgoing;
    const isOrdered = frame.kind === frameKind.data && (frame.flags & frameFlag.ordered) !== 0;
    let ids: OrderedIds | undefined;
    return new Promise((resolve) => {
      let forget: (() => void) | undefined;
      const job: Job = {
        outgoing,
        deadline: parcel.deadlineMs === undefined ? Infinity : this.#socket.clock.now() + parcel.deadlineMs,
        isSettled: false,
        divide,
        ...(isOrdered && {
          mayStart: () => {
            const known = peer.orderedIds?.get(frame.channel);
            return !known || known.active === 0 || (known.isKnown && !known.isBroken);
          },
        }),
        started: () => {
          if (isOrdered) ids = this.#orderedIds(peer, frame.channel);
          if (ids) ids.active++;
          const id = parcel.id ?? (ids ? takeId(ids) : this.#nextId(peer));
          job.outgoing.frame.id = id;
          parcel.started?.(id);
        },
        ended: (outcome) => {
          forget?.();
          if (ids) {
            ids.active--;
            if (outcome === "complete") ids.isKnown = true;
            else ids.isBroken = true;
          }
          resolve({ outcome, outgoing: job.outgoing });
        },
      };
      if (signal) forget = onAbort(signal, () => sender.withdraw(job, new OSError("ECANCELED")));
      sender.add(job);
    });
  }

  #orderedIds(peer: Peer, channel: number): OrderedIds {
    peer.orderedIds ??= new Map<number, OrderedIds>();
    let ids = peer.orderedIds.get(channel);
    if (!ids || (ids.isBroken && ids.active === 0)) {
      ids = { next: this.#socket.random(), isKnown: false, isBroken: false, active: 0 };
      peer.orderedIds.set(channel, ids);
    }
    return ids;
  }

  #nextId(peer: Peer): number {
    const id = peer.nextId ?? this.#socket.random();
    peer.nextId = (id + 1) >>> 0;
    return id;
  }

  #isFailure(outcome: Outcome, { fleeting }: Outgoing): outcome is Error | "expired" | "silent" {
    if (outcome instanceof Error) return true;
    return !fleeting && (outcome === "expired" || outcome === "silent");
  }

  #failure(
    outcome: Error | "expired" | "silent",
    { chunks, ackedChunks: arrivedChunks, frame }: Outgoing,
    peer: Peer,
    syscall: string,
    deadlineMs: number | undefined,
  ): Error {
    if (outcome instanceof MessageError) return outcome;
    const counts = { chunks, arrivedChunks };
    const arrived = arrivedText(arrivedChunks, chunks, frame.length);
    if (outcome === "expired") {
      return timeoutError(peer, syscall, counts, `${arrived} within deadlineMs, ${deadlineMs ?? 0} ms`);
    }
    if (outcome === "silent") {
      const { giveUpMs } = this.#options;
      const text = `${arrived}, and no report said more for giveUpMs, ${giveUpMs} ms`;
      return timeoutError(peer, syscall, counts, text, reasonOfSilence(syscall));
    }
    return outcome instanceof OSError ? causedError(outcome, peer, syscall, counts, arrived) : outcome;
  }
}

function takeId(ids: OrderedIds): number {
  const id = ids.next;
  ids.next = (id + 1) >>> 0;
  return id;
}

/** The error for a message that its peer refuses. @param message as it was sent */
export function tooLong(peer: Peer, message: Readonly<Frame>, limit: number): Error {
  const text = `a message of ${message.length} bytes is over the limit of the peer, ${limit} bytes: none of it arrived`;
  return refusedError("EMSGSIZE", peer, syscallOf(message), message, text, limit);
}

function syscallOf({ kind }: Readonly<Frame>): string {
  if (kind === frameKind.data) return "send";
  return kind === frameKind.request ? "request" : "serve";
}
