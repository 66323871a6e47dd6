/** What the page asks of the server. */

import { type List, type RecordingRow, type Send, paths } from "../../protocol.js";
import { Connection } from "./connection.js";
import { type ListedDatagram, State } from "./state.js";

/** What the list shows. */
export type Filter = Pick<List, "text" | "peer" | "source" | "direction" | "minSize" | "maxSize">;

export const everything: Filter = {
  text: "",
  peer: undefined,
  source: undefined,
  direction: undefined,
  minSize: undefined,
  maxSize: undefined,
};

export class Client {
  readonly state: State = new State();
  readonly #connection: Connection;
  /** What the page shows now, to ask for it again in a new connection. */
  #list: { readonly filter: Filter; readonly live: boolean } = { filter: everything, live: false };
  #pictures: readonly number[] = [];
  #requests = 0;

  constructor() {
    this.#connection = new Connection(this.state, (isFirst) => this.#subscribe(isFirst));
    this.#connection.open();
  }

  /** Begins a new list. */
  list(filter: Filter): void {
    this.#list = { filter, live: true };
    this.#sendList(true);
  }

  /** The server sends no more datagrams of the list. */
  pauseList(): void {
    if (!this.#list.live) return;
    this.#list = { ...this.#list, live: false };
    this.#sendList(false);
  }

  /** Asks for the payload of a datagram, unless it is known. */
  detail(datagram: ListedDatagram): void {
    if (this.state.payloadOf(datagram) === undefined)
      this.#connection.send({ type: "detail", id: datagram.row.id });
  }

  /** The peers whose pictures the page shows. */
  pictures(peers: readonly number[]): void {
    if (
      peers.length === this.#pictures.length &&
      peers.every((peer, index) => peer === this.#pictures[index])
    )
      return;
    this.#pictures = peers;
    this.#connection.send({ type: "pictures", peers });
  }

  /** Sends a datagram to one or more addresses. Returns false if there is no connection. */
  send(send: Omit<Send, "type" | "request">, summary: string): boolean {
    const request = ++this.#requests;
    this.state.sent.add(request, send.to, summary, send.awaitMs > 0);
    this.state.topics.changed("sends");
    if (this.#connection.send({ type: "send", request, ...send })) return true;
    this.state.sent.disconnected();
    return false;
  }

  record(on: boolean): void {
    this.#connection.send({ type: "record", on });
  }

  replay(file: number, source: number, to: string, speed: number): void {
    this.#connection.send({ type: "replay", file, source, to, speed, stop: false });
  }

  stopReplay(): void {
    const running = this.state.replaying;
    if (running === undefined) return;
    this.#connection.send({
      type: "replay",
      file: running.file,
      source: 0,
      to: running.to,
      speed: 1,
      stop: true,
    });
  }

  seek(positionMs: number, speed: number): void {
    // The next key moves from here, though the server has not answered yet.
    this.state.movedTo(Math.round(positionMs), speed);
    this.#connection.send({ type: "seek", positionMs: Math.round(positionMs), speed });
  }

  /** Keeps a capture file at the server. Rejects with the sentence of the server. */
  async upload(file: File): Promise<RecordingRow> {
    const address = new URL(`.${paths.uploads}`, location.href);
    address.searchParams.set("name", file.name);
    const response = await fetch(address, { method: "POST", body: file });
    if (response.status !== 201) throw new Error(await response.text());
    return (await response.json()) as RecordingRow;
  }

  #subscribe(isFirst: boolean): void {
    // After a move in a file the list is another one. Else it continues: the datagrams of an earlier connection stay.
    const hasMoved = !isFirst && this.state.playback !== undefined;
    if (this.#list.live && (isFirst || hasMoved)) this.#sendList(hasMoved);
    if (this.#pictures.length > 0) this.#connection.send({ type: "pictures", peers: this.#pictures });
  }

  #sendList(begins: boolean): void {
    const { filter, live } = this.#list;
    const request = ++this.#requests;
    // The answer to a list that is not live repeats what the page has.
    this.state.expectList(live ? request : 0, begins);
    this.#connection.send({ type: "list", request, live, ...filter });
  }
}

/** The address of a recording. */
export function recordingAddress(id: number): string {
  return new URL(`.${paths.recordings}${id}.pcapng`, location.href).href;
}
