/** The WebSocket to the server. It connects again after it was lost, with growing pauses of at most 5 seconds. */

import { type PageMessage, type ServerMessage, paths, protocolVersion } from "../../protocol.js";
import type { State } from "./state.js";

const firstPauseMs = 250;
const maxPauseMs = 5000;
/** The page loads itself again for another version of the protocol, but not over and over. */
const reloadedKey = "datagram-watch-reloaded";

export class Connection {
  readonly #state: State;
  /** Called after each `hello`. `isFirst` is whether it begins a connection. */
  readonly #onHello: (isFirst: boolean) => void;
  #socket: WebSocket | undefined;
  #attempt = 0;
  #begun = false;

  constructor(state: State, onHello: (isFirst: boolean) => void) {
    this.#state = state;
    this.#onHello = onHello;
  }

  open(): void {
    this.#state.setConnection({ state: "connecting" });
    const address = new URL(`.${paths.socket}`, location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) =>
      this.#received(data),
    );
    socket.addEventListener("close", () => this.#closed());
    this.#socket = socket;
    this.#begun = false;
  }

  /** Sends a message. Returns false, and sends nothing, if there is no connection. */
  send(message: PageMessage): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #opened(): void {
    this.#attempt = 0;
    this.#state.setConnection({ state: "open" });
  }

  #received(data: string | ArrayBuffer): void {
    if (typeof data !== "string") {
      this.#state.receiveFrame(data);
      return;
    }
    const message = JSON.parse(data) as ServerMessage;
    if (message.type !== "hello") {
      this.#state.receive(message);
      return;
    }
    if (message.protocol !== protocolVersion && sessionStorage.getItem(reloadedKey) !== message.version) {
      sessionStorage.setItem(reloadedKey, message.version);
      location.reload();
      return;
    }
    // Another one says that the server begins again: it moved in a file, or left out what this page was too slow for.
    const isFirst = !this.#begun;
    this.#begun = true;
    this.#state.begin(isFirst);
    this.#state.receive(message);
    this.#onHello(isFirst);
  }

  #closed(): void {
    const pauseMs = Math.min(maxPauseMs, firstPauseMs * 2 ** this.#attempt);
    this.#attempt++;
    this.#state.setConnection({
      state: "waiting",
      retryAtMs: Date.now() + pauseMs,
      attempt: this.#attempt,
    });
    setTimeout(() => this.open(), pauseMs);
  }
}
