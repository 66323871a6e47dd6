import { Buffer } from "node:buffer";

import type { WebSocket } from "ws";

import type { Peer } from "../model/peer.js";
import type { Model } from "../model/model.js";
import { type Hello, type PageMessage, type PeerRow, type ServerMessage, frameKinds } from "../protocol.js";
import { DatagramList } from "./datagram-list.js";
import { WrongMessage, readPageMessage } from "./page-messages.js";

/** Unsent bytes of a page above which it gets no updates until it has read on. */
const slowBytes = 1 << 20;
/** Unsent bytes of a page above which it is disconnected. */
const maxUnsentBytes = 16 << 20;
/** Milliseconds that a page has to answer the end of the connection. */
const closeMs = 1000;
/** Milliseconds of looking for last pictures, after which others have their turn. */
const turnMs = 4;
/** Peers of one message. */
export const maxRows = 500;

/** What a page needs of the server. */
export interface PageHost {
  readonly model: Model;
  hello(): Hello;
  /** A message of the page that the server answers. */
  message(page: Page, message: PageMessage): void;
  /** The peers whose pictures the page shows have changed. */
  picturesChanged(): void;
  closed(page: Page): void;
}

/** One page that is connected. It gets updates only as fast as it reads them. */
export class Page {
  readonly #socket: WebSocket;
  readonly #host: PageHost;
  readonly #list: DatagramList;
  /** Peers that are still to be sent with all their fields. */
  #backlog: Peer[] = [];
  #wantsAll = true;
  /** Whether updates were left out because the page was too slow. */
  #isBehind = false;
  /** Whether it was heard of since the last `ping`. */
  #isHeard = true;
  #nextLoss = 0;
  /** The peers whose pictures it shows. */
  pictures: ReadonlySet<number> = new Set();
  /** The newest picture of each peer that was not sent yet. */
  readonly #pictures = new Map<number, Buffer>();
  /** The peers whose last picture is looked for in the datagrams that are kept. */
  readonly #sought = new Set<number>();
  #search: ReturnType<Model["lastPictures"]> | undefined;

  constructor(socket: WebSocket, host: PageHost) {
    this.#socket = socket;
    this.#host = host;
    this.#list = new DatagramList(host.model.ring);
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      this.#isHeard = true;
      this.#onMessage(data, isBinary);
    });
    socket.on("pong", () => (this.#isHeard = true));
    socket.on("close", () => {
      this.#search = undefined;
      host.closed(this);
    });
    // `ws` closes the connection after an error, such as a message that is too long.
    socket.on("error", () => undefined);
    this.begin();
  }

  /** Sends everything from the start: the page is new or was too slow, or the sources have changed. */
  begin(): void {
    this.#isBehind = false;
    this.send(this.#host.hello());
    this.#wantsAll = true;
    this.#nextLoss = 0;
    this.pictures = new Set();
    this.#pictures.clear();
    this.#sought.clear();
    this.#search = undefined;
  }

  /** Sends a message. A page that does not read is disconnected. */
  send(message: ServerMessage): void {
    this.#write(JSON.stringify(message));
  }

  /** Sends the bytes of a datagram. */
  sendPayload(id: number, data: Uint8Array): void {
    this.#write(frameOf(frameKinds.payload, id, data));
  }

  /** Keeps a picture until the next `sendPictures`. It replaces an older one of the same peer. */
  keepPicture(peer: number, picture: Buffer): void {
    if (!this.pictures.has(peer)) return;
    this.#sought.delete(peer);
    this.#pictures.set(peer, picture);
  }

  /** Sends the newest pictures, unless the page is slow. */
  sendPictures(): void {
    for (const [peer, picture] of this.#pictures) {
      if (this.#isSlow) return;
      this.#pictures.delete(peer);
      this.#write(frameOf(frameKinds.picture, peer, picture));
    }
  }

  /**
   * Sends what changed since the last call.
   *
   * @param changed the `peers` message about the peers that changed, as text, which is the same for all pages.
   */
  update(changed: string | undefined, nowMs: number): void {
    if (this.#isSlow) {
      if (changed !== undefined) this.#isBehind = true;
      this.#list.skip();
      return;
    }
    // It gets everything again, instead of what it missed: peers that were forgotten meanwhile must go.
    if (this.#isBehind) this.begin();
    this.#sendPeers(changed, nowMs);
    for (const loss of this.#host.model.losses.since(this.#nextLoss)) {
      this.send(loss);
      this.#nextLoss = loss.id + 1;
    }
    const rows = this.#list.take();
    if (rows) this.send(rows);
  }

  /** Asks the page for a sign of life. A page that gave none since the last call is disconnected: its computer may be gone. */
  ping(): void {
    if (!this.#isHeard) {
      this.#socket.terminate();
      return;
    }
    this.#isHeard = false;
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
  }

  /** Disconnects the page. One that does not answer is disconnected after a second: `ws` would wait 30 s for it. */
  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
    const timer = setTimeout(() => this.#socket.terminate(), closeMs);
    this.#socket.once("close", () => clearTimeout(timer));
  }

  get #isSlow(): boolean {
    return this.#socket.bufferedAmount > slowBytes;
  }

  #sendPeers(changed: string | undefined, nowMs: number): void {
    const { peers } = this.#host.model;
    if (this.#wantsAll) {
      this.#wantsAll = false;
      this.#backlog = [...peers];
      for (const peer of this.#backlog) peer.shown = true;
      if (this.#backlog.length === 0) this.#sendRows([], nowMs);
    } else if (changed !== undefined) this.#write(changed);
    if (this.#backlog.length === 0) return;
    const part = this.#backlog.splice(0, maxRows).filter(({ forgotten }) => !forgotten);
    this.#sendRows(
      part.map((peer) => peer.row(true, nowMs)),
      nowMs,
    );
  }

  #sendRows(rows: readonly PeerRow[], atMs: number): void {
    this.send({ type: "peers", atMs, rows, forgotten: [], total: this.#host.model.peers.total });
  }

  #write(data: string | Buffer): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount > maxUnsentBytes) {
      this.#socket.terminate();
      return;
    }
    this.#socket.send(data);
  }

  #onMessage(data: Buffer, isBinary: boolean): void {
    try {
      if (isBinary) throw new WrongMessage("The server takes no binary frames.");
      this.#take(readPageMessage(data.toString()));
    } catch (error) {
      if (!(error instanceof WrongMessage)) throw error;
      this.send({ type: "refused", request: error.request, error: error.message });
    }
  }

  #take(message: PageMessage): void {
    switch (message.type) {
      case "list":
        this.send(this.#list.begin(message));
        return;
      case "detail": {
        const kept = this.#host.model.ring.find(message.id);
        if (kept) this.sendPayload(message.id, kept.data);
        else this.send({ type: "gone", id: message.id });
        return;
      }
      case "pictures":
        this.#show(new Set(message.peers));
        return;
      default:
        this.#host.message(this, message);
    }
  }

  /** Shows the pictures of some peers. A peer that sends no more has its last picture too. */
  #show(peers: ReadonlySet<number>): void {
    for (const peer of peers) if (!this.pictures.has(peer)) this.#sought.add(peer);
    for (const peer of this.#sought) if (!peers.has(peer)) this.#sought.delete(peer);
    for (const peer of this.#pictures.keys()) if (!peers.has(peer)) this.#pictures.delete(peer);
    this.pictures = peers;
    this.#host.picturesChanged();
    this.#search = this.#host.model.lastPictures(new Set(this.#sought));
    this.#goOnWith(this.#search);
  }

  /** Looks for last pictures for some milliseconds, and goes on after others had their turn. */
  #goOnWith(search: ReturnType<Model["lastPictures"]>): void {
    // Another search has begun, or the page has gone.
    if (search !== this.#search) return;
    const untilMs = performance.now() + turnMs;
    do {
      const { done, value } = search.next();
      if (done === true) {
        this.#sought.clear();
        this.#search = undefined;
        return;
      }
      // A picture that arrived meanwhile is newer.
      if (value && this.#sought.has(value.peer)) this.keepPicture(value.peer, value.picture);
    } while (performance.now() < untilMs);
    setImmediate(() => this.#goOnWith(search));
  }
}

/** A binary frame of `protocol.ts`. The bytes are copied. */
function frameOf(kind: number, number: number, bytes: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(5 + bytes.length);
  frame[0] = kind;
  frame.writeUInt32BE(number, 1);
  frame.set(bytes, 5);
  return frame;
}
