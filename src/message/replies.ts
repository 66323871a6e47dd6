import type { Buffer } from "node:buffer";

import type { Ancillary } from "../core/driver/ancillary.js";

/** The reply to a request: none yet, because the handler runs, or its bytes. */
export interface Reply {
  readonly crc: number;
  /** From the address that the request was sent to. */
  route: Ancillary | undefined;
  data: Buffer | undefined;
  failed: boolean;
  /** Whether it is being sent. */
  isSending: boolean;
  /** Whether the peer has it: then it is never sent again. */
  isDone: boolean;
}

/** Replies of one peer that are kept, to answer a request that comes again: their number and their bytes. */
const maxReplies = 64;
const maxReplyBytes = 1 << 20;

/** The replies to the last requests of one peer. */
export class Replies {
  readonly #byId = new Map<number, Reply>();
  #bytes = 0;

  /** Whether a handler runs or a reply is being sent. */
  get isBusy(): boolean {
    for (const { data, isSending } of this.#byId.values()) if (!data || isSending) return true;
    return false;
  }

  find(id: number, crc: number): Reply | undefined {
    const reply = this.#byId.get(id);
    return reply?.crc === crc ? reply : undefined;
  }

  /** A handler begins. */
  begin(id: number, crc: number, route: Ancillary | undefined): Reply {
    const reply: Reply = { crc, route, data: undefined, failed: false, isSending: false, isDone: false };
    this.#byId.set(id, reply);
    return reply;
  }

  /** A handler has ended, or its reply is replaced. Forgets the oldest replies above the limits. */
  end(reply: Reply, data: Buffer, failed: boolean): void {
    this.#bytes += data.length - (reply.data?.length ?? 0);
    reply.data = data;
    reply.failed = failed;
    for (const [id, old] of this.#byId) {
      if (this.#byId.size <= maxReplies && this.#bytes <= maxReplyBytes) break;
      if (!old.data || old.isSending || old === reply) continue;
      this.#byId.delete(id);
      this.#bytes -= old.data.length;
    }
  }
}
