import { OSError } from "../core/errors/errors.js";
import type { Unreachable } from "../core/ledger/reports.js";
import { type Socket, answerTo } from "../core/socket/socket.js";
import { type AnswerIcmp, type AnswerResult, notSent } from "./answer-results.js";
import type { SeenPeer } from "./seen-peers.js";
import { peerToken } from "./subjects.js";

/** An answer whose ICMP errors are awaited. */
interface Waiting {
  icmp: AnswerIcmp | undefined;
  /** Ends the wait. */
  end: (() => void) | undefined;
}

/** Sends answers to peers, and learns what ICMP says about them. */
export class AnswerSender {
  readonly #socket: Socket;
  readonly #icmpWaitMs: number;
  /** By the token of the peer. */
  readonly #waiting = new Map<string, Set<Waiting>>();
  #isClosed = false;

  constructor(s: Socket, icmpWaitMs: number) {
    this.#socket = s;
    this.#icmpWaitMs = icmpWaitMs;
    s.on("unreachable", this.#onUnreachable);
  }

  /** Sends a datagram to a peer, and waits for ICMP errors. Never rejects. */
  async send(token: string, { address, route }: SeenPeer, data: Uint8Array): Promise<AnswerResult> {
    const waiting: Waiting = { icmp: undefined, end: undefined };
    const all = this.#waiting.get(token) ?? new Set();
    // Before the send: the error of a host on this machine comes at once.
    this.#waiting.set(token, all.add(waiting));
    try {
      const bytes = await answerTo(this.#socket, data, address, route);
      const local = this.#socket.getsockname();
      const source = String(route?.source?.withPort(local.port) ?? local);
      return { sent: true, bytes, peer: String(address), source, icmp: await this.#icmpOf(waiting) };
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      return notSent(error.code, error.message);
    } finally {
      all.delete(waiting);
      if (all.size === 0) this.#waiting.delete(token);
    }
  }

  /** Ends all waits for ICMP errors. No further one begins. */
  close(): void {
    this.#isClosed = true;
    this.#socket.off("unreachable", this.#onUnreachable);
    for (const all of this.#waiting.values()) for (const { end } of all) end?.();
  }

  /** Waits for the first ICMP error about a peer. An error names the peer, and not the datagram. */
  async #icmpOf(waiting: Waiting): Promise<AnswerIcmp | null | "unknown"> {
    if (!this.#socket.capabilities.icmpErrors.available) return "unknown";
    if (waiting.icmp === undefined && this.#icmpWaitMs > 0 && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        const cancel = this.#socket.clock.after(this.#icmpWaitMs, resolve);
        waiting.end = () => {
          cancel();
          resolve();
        };
      });
    }
    return waiting.icmp ?? null;
  }

  readonly #onUnreachable = ({ destination, code, kind, from }: Unreachable): void => {
    // The kernel had no room to keep the destination.
    if (destination === undefined) return;
    for (const waiting of this.#waiting.get(peerToken(destination)) ?? []) {
      waiting.icmp ??= { code, kind, from };
      waiting.end?.();
    }
  };
}
