import type { Endpoint } from "../core/address/address.js";
import type { Ancillary } from "../core/driver/ancillary.js";
import { type Socket, answerTo } from "../core/socket/socket.js";
import {
  type Checksum,
  frameKind,
  frameOverheadBytes,
  newFrame,
  sealFrame,
  writeFrame,
} from "../wire/message-frame.js";
import type { Peer } from "./peers.js";
import { Tokens } from "./tokens.js";

/** The shortest time between two probes of an address, in milliseconds. */
const probeIntervalMs = 200;

/** Asks peers to prove that they receive at their addresses, and answers such questions: by PROBE and PROBE_ACK. */
export class AddressProofs {
  readonly #socket: Socket;
  readonly #crc32: Checksum;
  readonly #drop: (cause: string) => void;
  readonly #tokens: Tokens;

  /** @param drop counts a datagram that was not sent. */
  constructor(socket: Socket, crc32: Checksum, drop: (cause: string) => void) {
    this.#socket = socket;
    this.#crc32 = crc32;
    this.#drop = drop;
    this.#tokens = new Tokens(() => socket.random());
  }

  /** Asks a peer, unless it was asked a moment ago or its address may get no more bytes. */
  askInTurn(peer: Peer): void {
    const now = this.#socket.clock.now();
    if (now - peer.probedAt < probeIntervalMs || !peer.mayAnswer(frameOverheadBytes)) return;
    peer.probedAt = now;
    this.ask(peer);
  }

  /** Asks a peer. */
  ask({ address, route }: Peer): void {
    this.#send(address, frameKind.probe, this.#tokens.of(address), route);
  }

  /** Answers the question of another one. */
  answer(source: Endpoint, token: number, route: Ancillary | undefined): void {
    this.#send(source, frameKind.probeAck, token, route);
  }

  /** Whether the token of an answer proves the address that it came from. */
  isProof(source: Endpoint, token: number): boolean {
    return token === this.#tokens.of(source);
  }

  #send(to: Endpoint, kind: number, id: number, route: Ancillary | undefined): void {
    const bytes = new Uint8Array(frameOverheadBytes);
    writeFrame({ ...newFrame(), kind, id }, bytes);
    sealFrame(bytes, this.#crc32);
    answerTo(this.#socket, bytes, to, route).catch(() => this.#drop("unsent"));
  }
}
