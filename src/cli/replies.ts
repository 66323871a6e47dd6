import { Buffer } from "node:buffer";

import { type Datagram, OSError, type Socket } from "../index.js";
import { ownAddresses } from "../kernel/own-addresses.js";
import type { ReplySocket } from "./reply-socket.js";
import { notice, warn } from "./terminal.js";
import { asSocketFailure } from "./unreachable.js";

/** A datagram that may get an answer. */
interface Request {
  readonly datagram: Datagram;
  /** The part of its payload that `--recvfrom` keeps. */
  readonly data: Buffer;
}

/** Answers datagrams with a text in which `{}` is the datagram. */
export class Replies {
  readonly #socket: Socket;
  readonly #replySocket: ReplySocket;
  readonly #pieces: readonly Buffer[];
  readonly #warned = new Set<string>();
  #unanswered = 0;

  /** @param s the socket that received the datagrams. */
  constructor(s: Socket, replySocket: ReplySocket, template: string) {
    this.#socket = s;
    this.#replySocket = replySocket;
    this.#pieces = template.split("{}").map((piece) => Buffer.from(piece));
  }

  /** Answers each datagram. A failure is counted and reported once for each code, and stops nothing. */
  async send(requests: readonly Request[]): Promise<void> {
    // Answers to this socket itself would be answered without end.
    const isOwn = ownAddresses(this.#socket.getsockname());
    const answered = requests.filter(({ datagram: { source } }) => source.port !== 0 && !isOwn(source));
    this.#unanswered += requests.length - answered.length;
    const sending = answered.map(({ datagram, data }) => this.#replySocket.reply(datagram, this.#fill(data)));
    for (const outcome of await Promise.allSettled(sending)) {
      if (outcome.status === "rejected") this.#failed(outcome.reason);
    }
  }

  /** Prints the counts of answers. */
  summary(): void {
    const { sent, sendErrors, fragmented = 0, tooBig, unreachable } = this.#replySocket.socket.stats();
    notice(`  answered: ${sent.datagrams}`);
    for (const [code, times] of Object.entries(sendErrors)) notice(`  answers not sent: ${times}, ${code}`);
    const dropped = tooBig - (sendErrors.EMSGSIZE ?? 0);
    if (dropped > 0) notice(`  answers that routers dropped as too big: ${dropped} at least`);
    if (fragmented > 0) notice(`  answers in fragments: ${fragmented}`);
    for (const back of cameBack(unreachable, this.#replySocket.socket))
      notice(`  answers that came back unreachable: ${back}`);
    if (this.#unanswered > 0)
      notice(`  not answered: ${this.#unanswered}, from our own address or from port 0`);
  }

  #failed(error: unknown): void {
    if (!(error instanceof OSError)) throw error;
    if (this.#warned.has(error.code)) return;
    this.#warned.add(error.code);
    const { message } = asSocketFailure(error) as Error;
    warn(`an answer was not sent: ${message}`);
  }

  #fill(request: Buffer): Buffer {
    return Buffer.concat(this.#pieces.flatMap((piece, index) => (index === 0 ? [piece] : [request, piece])));
  }
}

/** How many answers could not be delivered, by code of the ICMP error. */
function cameBack(codes: Readonly<Record<string, number>> | undefined, { capabilities }: Socket): string[] {
  const { icmpErrors } = capabilities;
  if (!codes) return [icmpErrors.available ? "unknown" : `unknown, ${icmpErrors.reason}`];
  const counts = Object.entries(codes).map(([code, times]) => `${times} at least, ${code}`);
  return counts.length > 0 ? counts : ["0"];
}
