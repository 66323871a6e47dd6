import { Buffer } from "node:buffer";
import { networkInterfaces } from "node:os";

import type { Endpoint } from "../core/address.js";
import { OSError, type Socket } from "../index.js";
import { notice, warn } from "./terminal.js";

/** A datagram that may get an answer. */
interface Request {
  readonly data: Buffer;
  readonly source: Endpoint;
}

/** The answers to datagrams: a text in which `{}` is the datagram. */
export class Replies {
  readonly #socket: Socket;
  readonly #pieces: readonly Buffer[];
  readonly #warned = new Set<string>();
  #unanswered = 0;

  constructor(s: Socket, template: string) {
    this.#socket = s;
    this.#pieces = template.split("{}").map((piece) => Buffer.from(piece));
  }

  /** Answers each where it came from. What fails is counted, told once a kind, and stops nothing. */
  async send(requests: readonly Request[]): Promise<void> {
    const isOwn = this.#ownAddresses();
    const answered = requests.filter(({ source }) => source.port !== 0 && !isOwn(source));
    this.#unanswered += requests.length - answered.length;
    try {
      await this.#socket.sendMany(
        answered.map(({ data, source }) => ({ data: this.#fill(data), address: source })),
      );
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      if (this.#warned.has(error.code)) return;
      this.#warned.add(error.code);
      warn(`an answer was not sent: ${error.message}`);
    }
  }

  /** Tells what became of them. */
  summary(): void {
    const { sent, sendErrors } = this.#socket.stats();
    notice(`  answered: ${sent.datagrams}`);
    for (const [code, times] of Object.entries(sendErrors)) notice(`  answers not sent: ${times}, ${code}`);
    if (this.#unanswered > 0)
      notice(`  not answered: ${this.#unanswered}, from our own address or from port 0`);
  }

  #fill(request: Buffer): Buffer {
    return Buffer.concat(this.#pieces.flatMap((piece, index) => (index === 0 ? [piece] : [request, piece])));
  }

  /** Tells whether a datagram came from this very socket, whose answers would be answered without end. */
  #ownAddresses(): (source: Endpoint) => boolean {
    const own = this.#socket.getsockname();
    if (own.host !== "0.0.0.0" && own.host !== "::") return (source) => source.equals(own);
    let hosts: ReadonlySet<string> | undefined;
    return ({ host, port }) => {
      if (port !== own.port) return false;
      const plain = host.replace(/^::ffff:/, "").replace(/%.*/, "");
      if (plain.startsWith("127.")) return true;
      hosts ??= new Set(
        Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address)),
      );
      return hosts.has(plain);
    };
  }
}
