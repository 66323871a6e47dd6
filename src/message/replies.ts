import type { Buffer } from "node:buffer";

import type { Ancillary } from "../core/driver/ancillary.js";
import type { Message } from "./message.js";

/** The reply to a request: none yet, because the handler runs, or its bytes. */
export interface Reply {
  readonly crc: number;
  /** What it answers, until the peer has it: for the event that says that it cannot have it. */
  request: Message | undefined;
  /** From the address that the request was sent to. */
  route: Ancillary | undefined;
  data: Buffer | undefined;
  failed: boolean;
  /** Whether it is being sent. */
  isSending: boolean;
  /** Whether the peer has it: then it is never sent again. */
  isDone: boolean;
}

/** Replies of one peer that are kept, to answer a request that comes again: their number, and their bytes with those of the requests. */
const maxReplies = 64;
const maxReplyBytes = 1 << 20;

/** The replies to the last requests of one peer. */
export class Replies {
  readonly #byId = new Map<number, Reply>();

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
  begin(id: number, crc: number, route: Ancillary | undefined, request: Message | undefined): Reply {
    const reply = { crc, request, route, data: undefined, failed: false, isSending: false, isDone: false };
    this.#byId.set(id, reply);
    return reply;
  }

  /** A handler has ended, or its reply is replaced. Forgets replies above the limits: those that the peer has, then the oldest. */
  end(reply: Reply, data: Buffer, failed: boolean): void {
    reply.data = data;
    reply.failed = failed;
    let bytes = 0;
    for (const each of this.#byId.values()) bytes += keptBytes(each);
    for (const isDone of [true, false]) {
      for (const [id, old] of this.#byId) {
        if (this.#byId.size <= maxReplies && bytes <= maxReplyBytes) return;
        if (!old.data || old.isSending || old === reply || old.isDone !== isDone) continue;
        this.#byId.delete(id);
        bytes -= keptBytes(old);
      }
    }
  }

  /** The peer has a reply. */
  done(reply: Reply): void {
    reply.isDone = true;
    reply.request = undefined;
  }
}

function keptBytes({ data, request }: Reply): number {
  return data ? data.length + (request?.data.length ?? 0) : 0;
}
