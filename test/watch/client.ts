/** A page of a test: a WebSocket that keeps what the server sends. */

import { EventEmitter, once } from "node:events";

import { WebSocket } from "ws";

import type { Watch } from "datagram/watch";
import type { PageMessage, ServerMessage } from "../../src/watch/protocol.js";

type Of<T extends ServerMessage["type"]> = Extract<ServerMessage, { type: T }>;

/** A message of the page. Fields that may be `undefined` need not be there: JSON has none. */
type Sendable = { readonly type: PageMessage["type"] } & Readonly<Record<string, unknown>>;

export class PageClient {
  readonly socket: WebSocket;
  readonly messages: ServerMessage[] = [];
  readonly frames: Buffer[] = [];
  /** The first message, which `open` has taken. */
  hello: Of<"hello"> | undefined;
  readonly #news = new EventEmitter();

  static async open(page: Watch, headers: Readonly<Record<string, string>> = {}): Promise<PageClient> {
    const client = new PageClient(page, headers);
    client.hello = await client.next("hello");
    return client;
  }

  private constructor(page: Watch, headers: Readonly<Record<string, string>>) {
    const { host } = new URL(page.url);
    const cookie =
      page.token === undefined ? {} : { Cookie: `datagram-watch-${page.address.port}=${page.token}` };
    this.socket = new WebSocket(`ws://${host}/socket`, {
      origin: `http://${host}`,
      headers: { ...cookie, ...headers },
    });
    this.socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary) this.frames.push(data);
      else this.messages.push(JSON.parse(data.toString()) as ServerMessage);
      this.#news.emit("news");
    });
    this.socket.on("error", (error) => this.#news.emit("error", error));
  }

  send(message: Sendable): void {
    this.socket.send(JSON.stringify(message));
  }

  /** Takes the first message of a type that passes a check; waits for it if it is not there. */
  async next<T extends ServerMessage["type"]>(
    type: T,
    check: (message: Of<T>) => boolean = () => true,
  ): Promise<Of<T>> {
    for (;;) {
      const at = this.messages.findIndex((each) => each.type === type && check(each as Of<T>));
      if (at >= 0) return this.messages.splice(at, 1)[0] as Of<T>;
      await once(this.#news, "news");
    }
  }

  /** Takes the first binary frame. */
  async frame(): Promise<{ kind: number; number: number; bytes: Buffer }> {
    for (;;) {
      const frame = this.frames.shift();
      if (frame) return { kind: frame[0] as number, number: frame.readUInt32BE(1), bytes: frame.subarray(5) };
      await once(this.#news, "news");
    }
  }

  close(): void {
    this.socket.close();
  }
}
