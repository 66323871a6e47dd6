/**
 * The server of the page: `server.ts` accepts WebSockets, and tells the pages what has changed; `http-answers.ts` answers HTTP.
 * `access.ts` decides who may use it, `page-files.ts` has the files of the page. Each page that is connected is a `page.ts`, with its
 * list of datagrams (`datagram-list.ts`); `page-messages.ts` checks what it sends.
 */

import { type IncomingMessage, type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";

import { WebSocketServer } from "ws";

import { Address } from "../../index.js";
import { OSError } from "../../index.js";
import type { Model } from "../model/model.js";
import type { Peer } from "../model/peer.js";
import { HostLosses } from "../sources/host-losses.js";
import type { WatchedSource } from "../sources/source.js";
import {
  type Hello,
  type PageMessage,
  type Playback,
  type RelayState,
  type Seek,
  type ServerMessage,
  limits,
  paths,
  protocolVersion,
} from "../protocol.js";
import { Access, hostText } from "./access.js";
import { ownAddresses } from "./addresses.js";
import { Answers } from "./answers.js";
import { HttpAnswers, urlOf } from "./http-answers.js";
import { Page, maxRows } from "./page.js";
import { Recordings } from "./recordings.js";

/** Milliseconds between two updates of the pages. */
const intervalMs = 250;
/** Milliseconds between two pictures of a peer. */
const pictureIntervalMs = 40;
/** Milliseconds between two looks for losses and silent peers. */
const reportIntervalMs = 1000;
/** Milliseconds between two signs of life that pages are asked for. */
const pingIntervalMs = 30_000;
/** The largest number of pages that are connected. */
const maxPages = 16;

/** A seek that moves by less, in milliseconds, only changes the speed. */
const seekTolerance = 100;

/** How a server listens. */
export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  readonly token: string | undefined;
  /** The folder of recordings. Without one, they are removed at the end. */
  readonly records: string | undefined;
  /** The version of the package. */
  readonly version: string;
}

/** Serves one model to pages. */
export class PageServer {
  readonly #model: Model;
  readonly #sources: readonly WatchedSource[];
  readonly #options: ServerOptions;
  readonly #access: Access;
  readonly #http: Server;
  readonly #sockets: WebSocketServer;
  readonly #pages = new Set<Page>();
  readonly #answers: Answers;
  readonly #recordings: Recordings;
  readonly #hostLosses: HostLosses | undefined;
  readonly #timers: NodeJS.Timeout[] = [];
  #sentPlayback: Playback | undefined;
  readonly #relay: (() => RelayState) | undefined;
  #sentRelay = "";

  /** @param sources of the model, by their numbers there. */
  constructor(model: Model, sources: readonly WatchedSource[], options: ServerOptions) {
    this.#model = model;
    this.#sources = sources;
    this.#options = options;
    this.#access = new Access(options.host, options.token);
    this.#relay = sources.find(({ relay }) => relay !== undefined)?.relay;
    this.#answers = new Answers(model, sources);
    const sockets = sources.flatMap(({ socket }) => socket ?? []).filter(({ driver }) => driver !== "sim");
    this.#hostLosses = sockets.length === 0 ? undefined : new HostLosses(sockets, model);
    this.#recordings = new Recordings(
      sources.map(({ socket }) => socket),
      options.records,
      () => this.#broadcast(this.#recordings.state()),
      (state) => this.#broadcast(state),
      sources.find(({ record }) => record !== undefined)?.record,
    );
    model.listener = {
      picture: (peer, picture) => {
        for (const page of this.#pages) page.keepPicture(peer.id, picture);
      },
      answered: (peer, position) => this.#answers.answered(peer, position),
    };
    const answers = new HttpAnswers(this.#access, this.#recordings);
    this.#http = createServer({ maxHeaderSize: 16_384, requestTimeout: 300_000 }, (request, response) =>
      answers.answer(request, response),
    );
    this.#http.on("upgrade", (request, connection, head) => this.#onUpgrade(request, connection, head));
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: limits.messageBytes,
      perMessageDeflate: false,
      clientTracking: false,
    });
  }

  /** Begins to listen. @returns the address. @throws (rejects) `OSError` such as `EADDRINUSE` and `EADDRNOTAVAIL`. */
  async listen(): Promise<Address> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#http.once("error", (error: NodeJS.ErrnoException) => {
        reject(new OSError(error.code ?? "EINVAL", { syscall: "listen", address: host, port }));
      });
      this.#http.listen({ host, port }, resolve);
    });
    this.#http.on("error", () => undefined);
    const address = this.#http.address() as AddressInfo;
    this.#access.port = address.port;
    this.#timers.push(
      setInterval(() => this.#update(), intervalMs),
      setInterval(() => this.#sendPictures(), pictureIntervalMs),
      setInterval(() => this.#report(), reportIntervalMs),
      setInterval(() => this.#pages.forEach((page) => page.ping()), pingIntervalMs),
    );
    return new Address(address.address, address.port);
  }

  /** The address for a browser, with the token if there is one. */
  url(address: Address): string {
    const wildcards: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "[::1]" };
    const { host, token } = this.#options;
    const name = wildcards[address.host] ?? hostText(host);
    return `http://${name}:${address.port}/${token === undefined ? "" : `?token=${token}`}`;
  }

  /** Disconnects the pages and ends the server. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#model.listener = undefined;
    this.#answers.close();
    // From now on, an upgrade is answered with 503: nothing would disconnect a page that came while the recordings end.
    this.#sockets.close();
    for (const page of this.#pages) page.close(1001, "the server ends");
    await this.#recordings.close();
    await new Promise<void>((resolve) => {
      this.#http.close(() => resolve());
      this.#http.closeAllConnections();
    });
  }

  #onUpgrade(request: IncomingMessage, connection: Duplex, head: Buffer): void {
    connection.on("error", () => undefined);
    const isSocket = urlOf(request).pathname === paths.socket;
    const refusal = isSocket
      ? this.#access.refusal(request, true)
      : { status: 404, text: "There is nothing here." };
    const isFull = this.#pages.size >= maxPages;
    if (refusal || isFull) {
      const { status, text } = refusal ?? { status: 503, text: `${maxPages} pages are connected already.` };
      // Nothing else ends the connection of a client that keeps its side open.
      connection.once("finish", () => connection.destroy());
      connection.end(
        `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
      );
      return;
    }
    this.#sockets.handleUpgrade(request, connection, head, (socket) => {
      this.#pages.add(
        new Page(socket, {
          model: this.#model,
          hello: () => this.#hello(),
          message: (page, message) => this.#onMessage(page, message),
          picturesChanged: () => this.#wantPictures(),
          closed: (page) => {
            this.#pages.delete(page);
            this.#wantPictures();
          },
        }),
      );
    });
  }

  #hello(): Hello {
    const { sources, playback } = this.#model;
    return {
      type: "hello",
      protocol: protocolVersion,
      version: this.#options.version,
      nowMs: this.#model.now(),
      sources,
      addresses: ownAddresses(),
      intervalMs,
      recording: this.#recordings.state(),
      playback,
      relay: this.#relay?.(),
    };
  }

  #onMessage(page: Page, message: PageMessage): void {
    const reply = (answer: ServerMessage): void => page.send(answer);
    const refuse = (error: string | undefined): void => {
      if (error !== undefined) reply({ type: "refused", request: undefined, error });
    };
    switch (message.type) {
      case "send":
        this.#answers.send(message, reply);
        return;
      case "record":
        if (message.on) refuse(this.#recordings.start(Date.now()));
        else void this.#recordings.stop();
        return;
      case "replay":
        refuse(this.#recordings.replay(message));
        return;
      case "seek":
        void this.#seek(message, refuse);
        return;
      default:
        refuse("This is not possible here.");
    }
  }

  async #seek({ positionMs, speed }: Seek, refuse: (error: string) => void): Promise<void> {
    const source = this.#sources.find(({ seek }) => seek !== undefined);
    if (!source?.seek) {
      refuse("No file is watched.");
      return;
    }
    const isMoved = Math.abs(positionMs - this.#model.now()) > seekTolerance;
    await source.seek(positionMs, speed);
    // The model began again, so the pages do.
    if (isMoved) for (const page of this.#pages) page.begin();
  }

  #broadcast(message: ServerMessage): void {
    for (const page of this.#pages) page.send(message);
  }

  #wantPictures(): void {
    this.#model.pictures.want([...this.#pages].flatMap(({ pictures }) => [...pictures]));
  }

  #update(): void {
    if (this.#pages.size === 0) return;
    const nowMs = this.#model.now();
    const { peers } = this.#model;
    const changed: readonly Peer[] = peers.takeChanged(maxRows);
    const forgotten = peers.takeForgotten();
    const rows = changed.map((peer) => peer.row(false, nowMs));
    const message: ServerMessage = { type: "peers", atMs: nowMs, rows, forgotten, total: peers.total };
    const text = rows.length + forgotten.length > 0 ? JSON.stringify(message) : undefined;
    for (const page of this.#pages) page.update(text, nowMs);
    this.#sendPlayback();
  }

  #sendPlayback(): void {
    const { playback } = this.#model;
    if (!playback || playback === this.#sentPlayback) return;
    this.#sentPlayback = playback;
    this.#broadcast({ ...playback, overview: undefined });
  }

  #sendRelay(): void {
    if (!this.#relay || this.#pages.size === 0) return;
    const state = this.#relay();
    const text = JSON.stringify(state);
    if (text === this.#sentRelay) return;
    this.#sentRelay = text;
    this.#broadcast(state);
  }

  #sendPictures(): void {
    for (const page of this.#pages) page.sendPictures();
  }

  #report(): void {
    const nowMs = this.#model.now();
    for (const source of this.#sources) source.report(nowMs);
    this.#hostLosses?.report(nowMs);
    this.#model.report(nowMs);
    this.#sendRelay();
    if (this.#recordings.isRunning) this.#broadcast(this.#recordings.state());
  }
}
