import { Buffer } from "node:buffer";

import { type Datagram, OSError, type Socket } from "../index.js";
import { ownAddresses } from "../kernel/own-addresses.js";
import type { Answerer } from "./answerer.js";
import { notice, warn } from "./terminal.js";

/** A datagram that may get an answer. */
interface Request {
  readonly datagram: Datagram;
  /** What of its payload was asked for. */
  readonly data: Buffer;
}

/** The answers to datagrams: a text in which `{}` is the datagram. */
export class Replies {
  readonly #socket: Socket;
  readonly #answerer: Answerer;
  readonly #pieces: readonly Buffer[];
  readonly #warned = new Set<string>();
  #unanswered = 0;

  /** @param s the socket that they are answers of. */
  constructor(s: Socket, answerer: Answerer, template: string) {
    this.#socket = s;
    this.#answerer = answerer;
    this.#pieces = template.split("{}").map((piece) => Buffer.from(piece));
  }

  /** Answers each where it came from. What fails is counted, told once a kind, and stops nothing. */
  async send(requests: readonly Request[]): Promise<void> {
    // Answers to this very socket would be answered without end.
    const isOwn = ownAddresses(this.#socket.getsockname());
    const answered = requests.filter(({ datagram: { source } }) => source.port !== 0 && !isOwn(source));
    this.#unanswered += requests.length - answered.length;
    const sending = answered.map(({ datagram, data }) => this.#answerer.answer(datagram, this.#fill(data)));
    for (const outcome of await Promise.allSettled(sending)) {
      if (outcome.status === "rejected") this.#failed(outcome.reason);
    }
  }

  /** Tells what became of them. */
  summary(): void {
    const { sent, sendErrors, fragmented = 0, tooBig, unreachable } = this.#answerer.socket.stats();
    notice(`  answered: ${sent.datagrams}`);
    for (const [code, times] of Object.entries(sendErrors)) notice(`  answers not sent: ${times}, ${code}`);
    const dropped = tooBig - (sendErrors.EMSGSIZE ?? 0);
    if (dropped > 0) notice(`  answers that routers dropped as too big: ${dropped} at least`);
    if (fragmented > 0) notice(`  answers in fragments: ${fragmented}`);
    for (const back of cameBack(unreachable, this.#answerer.socket))
      notice(`  answers that came back unreachable: ${back}`);
    if (this.#unanswered > 0)
      notice(`  not answered: ${this.#unanswered}, from our own address or from port 0`);
  }

  #failed(error: unknown): void {
    if (!(error instanceof OSError)) throw error;
    if (this.#warned.has(error.code)) return;
    this.#warned.add(error.code);
    warn(`an answer was not sent: ${error.message}`);
  }

  #fill(request: Buffer): Buffer {
    return Buffer.concat(this.#pieces.flatMap((piece, index) => (index === 0 ? [piece] : [request, piece])));
  }
}

/** How many answers came back, by code. */
function cameBack(codes: Readonly<Record<string, number>> | undefined, { capabilities }: Socket): string[] {
  const { icmpErrors } = capabilities;
  if (!codes) return [icmpErrors.available ? "unknown" : `unknown, ${icmpErrors.reason}`];
  const counts = Object.entries(codes).map(([code, times]) => `${times} at least, ${code}`);
  return counts.length > 0 ? counts : ["0"];
}
