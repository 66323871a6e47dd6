/** What the page knows: the messages of the server, put together and limited. */

import {
  type DatagramRow,
  type DatagramRows,
  type Hello,
  type LossReport,
  type PeerChanges,
  type Playback,
  type RecordingState,
  type RelayState,
  type ReplayState,
  type ServerMessage,
  type Source,
  frameKinds,
} from "../../protocol.js";
import { inOrder } from "./in-order.js";
import { Peer } from "./peer.js";
import { Rates } from "./rates.js";
import { SentRequests } from "./sent-requests.js";
import { Topics } from "./topics.js";

/** How the connection to the server is. */
export type ConnectionState =
  | { readonly state: "connecting" }
  | { readonly state: "open" }
  /** Waits until `retryAtMs`, by the clock of the browser, and then connects again. */
  | { readonly state: "waiting"; readonly retryAtMs: number; readonly attempt: number };

/** A datagram of the list. `id` is a number of the server in one connection. */
export interface ListedDatagram {
  readonly key: string;
  readonly row: DatagramRow;
  /** Which connection it came in. The server may have been started again since. */
  readonly connection: number;
}

/** A payload: its bytes, `gone` if the server no longer has them, and `undefined` until the answer comes. */
export type Payload = Uint8Array<ArrayBuffer> | "gone" | undefined;

/** A picture of a peer. */
export interface Picture {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many came from the peer in this connection. */
  readonly count: number;
}

/** The rates of one source. */
export interface SourceRates {
  readonly datagrams: Rates;
  readonly bytes: Rates;
}

/** How long a position that the page asked for is not replaced by an older one of the server. */
const movingMs = 500;
const maxDatagrams = 3000;
const maxLosses = 500;
const maxPayloads = 64;

export class State {
  readonly topics: Topics = new Topics();
  readonly peers: Map<number, Peer> = new Map<number, Peer>();
  readonly sourceRates: Map<number, SourceRates> = new Map<number, SourceRates>();
  /** By their numbers, the oldest first. */
  readonly losses: Map<number, LossReport> = new Map<number, LossReport>();
  readonly pictures: Map<number, Picture> = new Map<number, Picture>();
  readonly sent: SentRequests = new SentRequests();
  connection: ConnectionState = { state: "connecting" };
  /** Counts the connections. */
  connections = 0;
  hello: Hello | undefined;
  /** Peers in all, also those that the server has forgotten. */
  totalPeers = 0;
  /** The oldest first. */
  datagrams: ListedDatagram[] = [];
  /** Datagrams that were taken from the beginning of the list since the page was loaded. */
  datagramsRemoved = 0;
  /** Datagrams that the server did not send since the list began. */
  datagramsSkipped = 0;
  recording: RecordingState | undefined;
  replaying: ReplayState | undefined;
  playback: Playback | undefined;
  /** What the relay that is watched did so far. */
  relay: RelayState | undefined;
  /** The last refusal that belongs to no request. */
  refusal: string | undefined;
  readonly #payloads = new Map<string, Payload>();
  #list = 0;
  #listBegins = false;
  /** When the page last asked for another position, by `performance.now()`. */
  #movedAtMs = -Infinity;
  #peersAtMs = 0;
  #peersCameMs = 0;

  /** The time of the server now, or the position in the file. */
  get nowMs(): number {
    return this.#peersAtMs + (this.playback === undefined ? Date.now() - this.#peersCameMs : 0);
  }

  get sources(): readonly Source[] {
    return this.hello?.sources ?? [];
  }

  setConnection(connection: ConnectionState): void {
    this.connection = connection;
    if (connection.state === "open") this.connections++;
    this.topics.changed("connection");
  }

  /** Expects the answers to a `list`. `begins` is false if the rows of its first answer are to be added to the list. */
  expectList(request: number, begins: boolean): void {
    this.#list = request;
    this.#listBegins = begins;
  }

  receive(message: ServerMessage): void {
    switch (message.type) {
      case "hello": {
        this.#hello(message);
        return;
      }
      case "peers": {
        this.#peers(message);
        return;
      }
      case "loss": {
        this.#loss(message);
        return;
      }
      case "datagrams": {
        this.#datagrams(message);
        return;
      }
      case "gone": {
        this.#setPayload(message.id, "gone");
        return;
      }
      case "sent":
        this.sent.sent(message);
        {
          this.topics.changed("sends");
          return;
        }
      case "reply":
        this.sent.replied(message);
        {
          this.topics.changed("sends");
          return;
        }
      case "recording":
        this.recording = message;
        {
          this.topics.changed("recording");
          return;
        }
      case "replaying":
        this.replaying = message;
        {
          this.topics.changed("recording");
          return;
        }
      case "playback":
        this.playback = this.#playbackOf(message);
        {
          this.topics.changed("playback");
          return;
        }
      case "relay": {
        this.relay = message;
        this.topics.changed("relay");
        return;
      }
      case "refused":
        if (!this.sent.refused(message)) this.refusal = message.error;
        this.topics.changed("sends");
        {
          this.topics.changed("connection");
          return;
        }
    }
  }

  /** Takes a binary frame. */
  receiveFrame(frame: ArrayBuffer): void {
    if (frame.byteLength < 5) return;
    const view = new DataView(frame);
    const id = view.getUint32(1);
    const bytes = new Uint8Array(frame, 5);
    if (view.getUint8(0) === frameKinds.payload) this.#setPayload(id, bytes);
    if (view.getUint8(0) === frameKinds.picture) {
      this.pictures.set(id, { bytes, count: (this.pictures.get(id)?.count ?? 0) + 1 });
      this.topics.changed("pictures");
    }
  }

  /** The payload of a datagram of the list. */
  payloadOf(datagram: Pick<ListedDatagram, "row" | "connection">): Payload {
    const known = this.#payloads.get(`${datagram.connection}:${datagram.row.id}`);
    return known ?? (datagram.connection === this.connections ? undefined : "gone");
  }

  /** The page asks for another position in the file. */
  movedTo(positionMs: number, speed: number): void {
    if (this.playback !== undefined) this.playback = { ...this.playback, positionMs, speed };
    this.#movedAtMs = performance.now();
    this.topics.changed("playback");
  }

  /** Drops the message that the page shows of a refusal. */
  dismissRefusal(): void {
    this.refusal = undefined;
    this.topics.changed("connection");
  }

  #hello(hello: Hello): void {
    this.hello = hello;
    this.recording = hello.recording;
    this.playback = hello.playback && this.#playbackOf(hello.playback);
    this.relay = hello.relay;
    this.#peersAtMs = hello.nowMs;
    this.#peersCameMs = Date.now();
    for (const { id } of hello.sources)
      if (!this.sourceRates.has(id)) this.sourceRates.set(id, { datagrams: new Rates(), bytes: new Rates() });
    for (const topic of ["hello", "recording", "playback", "relay", "peers"] as const)
      this.topics.changed(topic);
  }

  /** Forgets what a server tells again. The numbers of a new connection may be those of another server. */
  begin(isNewConnection: boolean): void {
    this.peers.clear();
    this.losses.clear();
    this.pictures.clear();
    this.sourceRates.clear();
    if (isNewConnection) {
      this.sent.disconnected();
      this.replaying = undefined;
    }
    for (const topic of ["peers", "losses", "pictures", "sends"] as const) this.topics.changed(topic);
  }

  #peers({ atMs, rows, forgotten, total }: PeerChanges): void {
    const second = Math.floor(atMs / 1000);
    this.#peersAtMs = atMs;
    this.#peersCameMs = Date.now();
    this.totalPeers = total;
    for (const id of forgotten) {
      this.peers.delete(id);
      this.pictures.delete(id);
    }
    for (const row of rows) {
      const rates = this.sourceRates.get(row.source);
      const peer = this.peers.get(row.id);
      if (peer === undefined || row.history !== undefined) {
        const added = new Peer(row);
        added.rates.addHistory(row.history ?? [], second);
        const history = row.history ?? [];
        rates?.datagrams.addHistory(history, second);
        // A history has no bytes: the mean size of the peer's datagrams stands for theirs.
        const meanBytes = row.datagrams === 0 ? 0 : row.bytes / row.datagrams;
        rates?.bytes.addHistory(
          history.map((count) => count * meanBytes),
          second,
        );
        this.peers.set(row.id, added);
      } else {
        const { datagrams, bytes } = peer.update(row, atMs);
        rates?.datagrams.add(second, datagrams);
        rates?.bytes.add(second, bytes);
      }
    }
    this.topics.changed("peers");
  }

  /** What the server says of the playback. Just after a move it may be of before, so the position stays. */
  #playbackOf(message: Playback): Playback {
    const { playback } = this;
    // The overview comes once.
    const overview = message.overview ?? playback?.overview;
    if (playback === undefined || performance.now() - this.#movedAtMs > movingMs)
      return { ...message, overview };
    return { ...message, overview, positionMs: playback.positionMs, speed: playback.speed };
  }

  #loss(report: LossReport): void {
    this.losses.set(report.id, report);
    for (const id of this.losses.keys()) {
      if (this.losses.size <= maxLosses) break;
      this.losses.delete(id);
    }
    this.topics.changed("losses");
  }

  #datagrams({ request, rows, skipped }: DatagramRows): void {
    if (request !== this.#list) return;
    const connection = this.connections;
    const added = rows.map((row) => ({ key: `${connection}:${row.id}`, row, connection }));
    if (this.#listBegins) {
      this.datagramsRemoved += this.datagrams.length;
      this.datagrams = [];
      this.datagramsSkipped = 0;
      this.#listBegins = false;
    }
    // After the connection was lost, the answer can have datagrams that the list has.
    const first = rows[0];
    const known = this.datagrams.findIndex(
      ({ row, connection: of }) =>
        of !== connection && row.id === first?.id && row.timestamp === first.timestamp,
    );
    if (known >= 0) this.datagrams.length = known;
    const excess = Math.max(0, this.datagrams.length + added.length - maxDatagrams);
    this.datagrams = inOrder(this.datagrams, added).slice(excess);
    this.datagramsRemoved += excess;
    this.datagramsSkipped += skipped;
    this.topics.changed("datagrams");
  }

  #setPayload(id: number, payload: Payload): void {
    this.#payloads.set(`${this.connections}:${id}`, payload);
    for (const key of this.#payloads.keys()) {
      if (this.#payloads.size <= maxPayloads) break;
      this.#payloads.delete(key);
    }
    this.topics.changed("details");
  }
}
