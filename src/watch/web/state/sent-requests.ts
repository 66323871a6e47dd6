import type { Refused, Reply, SendResult } from "../../protocol.js";

/** A datagram that the page sent to one address, and what became of it. */
export interface SentTo {
  readonly to: string;
  readonly bytes: number | undefined;
  readonly error: string | undefined;
  /** The first answer, `none` if none came in time, `undefined` while the page waits or if it does not wait. */
  readonly reply: { readonly afterMs: number; readonly datagram: number | undefined } | "none" | undefined;
}

/** A `send` of the page. */
export interface SentRequest {
  readonly request: number;
  readonly atMs: number;
  /** The beginning of the payload. */
  readonly summary: string;
  readonly awaitsReply: boolean;
  /** Whether the connection was lost before the last answer. */
  readonly disconnected: boolean;
  /** Why the server refused it. */
  readonly refusal: string | undefined;
  readonly to: readonly SentTo[];
}

const maxRequests = 50;

/** The last sends of the page, the newest first. */
export class SentRequests {
  requests: readonly SentRequest[] = [];

  add(request: number, to: readonly string[], summary: string, awaitsReply: boolean): void {
    const waiting = to.map((each) => ({ to: each, bytes: undefined, error: undefined, reply: undefined }));
    const added = {
      request,
      atMs: Date.now(),
      summary,
      awaitsReply,
      disconnected: false,
      refusal: undefined,
    };
    this.requests = [{ ...added, to: waiting }, ...this.requests].slice(0, maxRequests);
  }

  sent({ request, to, bytes, error }: SendResult): void {
    this.#changeTo(request, to, (each) => ({ ...each, bytes, error }));
  }

  replied({ request, from, afterMs, datagram }: Reply): void {
    const reply = afterMs === undefined ? "none" : { afterMs, datagram };
    this.#changeTo(request, from, (each) => ({ ...each, reply }));
  }

  /** Returns whether the refusal belongs to a send. */
  refused({ request, error }: Refused): boolean {
    if (!this.requests.some((each) => each.request === request)) return false;
    this.#change(request, (each) => ({ ...each, refusal: error }));
    return true;
  }

  /** Answers of earlier sends no longer come. */
  disconnected(): void {
    this.requests = this.requests.map((each) =>
      isComplete(each) || each.refusal !== undefined ? each : { ...each, disconnected: true },
    );
  }

  #changeTo(request: number, address: string, change: (to: SentTo) => SentTo): void {
    this.#change(request, (each) => ({
      ...each,
      to: each.to.map((one) => (one.to === address ? change(one) : one)),
    }));
  }

  #change(request: number | undefined, change: (request: SentRequest) => SentRequest): void {
    this.requests = this.requests.map((each) => (each.request === request ? change(each) : each));
  }
}

function isComplete({ to, awaitsReply }: SentRequest): boolean {
  return to.every(
    ({ bytes, error, reply }) =>
      error !== undefined || (bytes !== undefined && (!awaitsReply || reply !== undefined)),
  );
}
