import { Buffer } from "node:buffer";

import type { Endpoint } from "../core/address/address.js";
import type { Clock } from "../core/driver/driver.js";
import type { Datagram } from "../core/receive/datagram.js";
import { Flows, defaultTtl, payloadSum, writeHeaders } from "../capture/record/flows.js";
import { Notes } from "../capture/record/notes.js";
import { BlockWriter, captureTime } from "../wire/pcapng.js";
import type { EncodedMessage } from "./message-encoder.js";
import { peerToken } from "./subjects.js";

/** The largest number of peers whose tokens are kept. When they are full, all are forgotten. */
const maxPeers = 4096;

/** Turns datagrams into packets of a capture file, each a finished block, as `record` writes them. */
export class PacketEncoder {
  readonly #clock: Clock;
  readonly #local: Endpoint;
  readonly #flows = new Flows();
  readonly #notes = new Notes();
  readonly #writer = new BlockWriter();
  readonly #tokens = new Map<Endpoint, string>();

  /** @param local the address of the socket, for datagrams whose destination the system does not report. */
  constructor(clock: Clock, local: Endpoint) {
    this.#clock = clock;
    this.#local = local;
  }

  /** The message has its own copy of the payload. */
  encode(datagram: Datagram): EncodedMessage {
    const { data, source, destination = this.#local, timestamp, ttl = defaultTtl, tos = 0 } = datagram;
    const { lostBefore = 0 } = datagram;
    const flow = this.#flows.of(source, destination);
    const headerBytes = flow.headers.length;
    const length = headerBytes + data.length;
    const writer = this.#writer;
    writer.at = 0;
    const at = writer.beginPacket(0, captureTime(timestamp ?? this.#clock.wall()), length, length);
    writer.bytes.set(data, at + headerBytes);
    const sum = payloadSum(writer.words, at + headerBytes, data.length);
    writeHeaders(flow, writer.bytes, at, data.length, sum, ttl, tos);
    if (lostBefore > 0) this.#notes.lostAtBuffer(lostBefore);
    const told = this.#notes.take();
    writer.endPacket({ direction: "in", dropCount: told?.lost, comment: told?.comment });
    return { peer: this.#tokenOf(source), subject: "", bytes: Buffer.from(writer.written), headersBytes: 0 };
  }

  #tokenOf(peer: Endpoint): string {
    let token = this.#tokens.get(peer);
    if (token !== undefined) return token;
    if (this.#tokens.size >= maxPeers) this.#tokens.clear();
    token = peerToken(peer);
    this.#tokens.set(peer, token);
    return token;
  }
}
