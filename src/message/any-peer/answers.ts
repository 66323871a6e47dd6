import type { Endpoint } from "../../core/address/address.js";
import { sameHost } from "../../core/address/same-host.js";
import { toOSError } from "../../core/driver/driver-errors.js";
import { OSError } from "../../core/errors/errors.js";
import type { Unreachable } from "../../core/ledger/reports.js";
import type { Datagram } from "../../core/receive/datagram.js";
import { interfaceNumberOf } from "../../core/socket/settings.js";
import { type Socket, intercept } from "../../core/socket/socket.js";

/** The largest number of calls that may wait for answers on one socket, with those that wait for their turn. */
const maxWaiting = 1024;

/** A call that waits for answers. */
export interface Waiting {
  readonly syscall: string;
  /** The address that was sent to. */
  readonly to: Endpoint;
  /** Whether answers come from other hosts than `to`: from any port of theirs, or only from the port of `to`. */
  readonly from: "to" | "port" | "any";
  /** Whether the call knows its answers by their content, so that they are offered to it before the others. */
  readonly selective: boolean;
  /** Returns whether the call took the datagram. */
  take(datagram: Datagram): boolean;
  /** An ICMP error says that datagrams to `to` cannot arrive. */
  unreachable(report: Unreachable): void;
  fail(reason: unknown): void;
}

/** A request that waits for its turn. */
interface Turn {
  readonly start: () => void;
}

const known = new WeakMap<Socket, Answers>();

/** The calls of one socket that wait for answers. While there is one, it reads the socket, beside other readers. */
export class Answers {
  readonly #socket: Socket;
  readonly #waiting = new Set<Waiting>();
  /** The calls whose answers come from `to`, by its host without a scope and its port. */
  readonly #byPeer = new Map<string, Set<Waiting>>();
  /** The calls whose answers come from other hosts. */
  readonly #ofMany = new Set<Waiting>();
  /** For each peer with a request, the requests that wait until it has ended. */
  readonly #turns = new Map<string, Turn[]>();
  /** Calls that wait for their turn. */
  #queued = 0;
  #stop: (() => void) | undefined;
  /** Whether the socket was closed while a call waited. */
  #ended = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Returns the `Answers` of a socket. There is one for each socket. */
  static of(socket: Socket): Answers {
    const found = known.get(socket) ?? new Answers(socket);
    known.set(socket, found);
    return found;
  }

  #same(one: Endpoint, other: Endpoint): boolean {
    return one.port === other.port && sameHost(one.host, other.host, interfaceNumberOf(this.#socket));
  }

  /** @throws `OSError` `ENOBUFS` if too many calls wait, `ECANCELED` if the socket was closed before its turn, `EBADF`. */
  add(waiting: Waiting): void {
    if (this.#ended) throw closedWhileWaiting(waiting);
    this.#assertRoom(waiting.syscall);
    try {
      this.#stop ??= this.#start(waiting.syscall);
    } catch (thrown) {
      throw toOSError(thrown, waiting.syscall, waiting.to);
    }
    this.#waiting.add(waiting);
    if (waiting.from !== "to") {
      this.#ofMany.add(waiting);
      return;
    }
    const peer = peerOf(waiting.to);
    const others = this.#byPeer.get(peer);
    if (others) others.add(waiting);
    else this.#byPeer.set(peer, new Set([waiting]));
  }

  remove(waiting: Waiting): void {
    if (!this.#waiting.delete(waiting)) return;
    const peer = peerOf(waiting.to);
    const ofPeer = this.#byPeer.get(peer);
    if (ofPeer?.delete(waiting) === true && ofPeer.size === 0) this.#byPeer.delete(peer);
    this.#ofMany.delete(waiting);
    if (this.#waiting.size > 0) return;
    this.#stop?.();
    this.#stop = undefined;
  }

  /**
   * Calls `start` now if no request to a peer has the turn, else after those before it have ended (NSTART = 1 of RFC 7252
   * section 4.7): an answer without a number cannot tell which request it answers.
   *
   * @returns a function that must be called once, when the request has ended or is given up.
   * @throws `OSError` `ENOBUFS` if too many calls wait.
   */
  turn(to: Endpoint, syscall: string, start: () => void): () => void {
    const peer = peerOf(to);
    const queue = this.#turns.get(peer);
    if (!queue) {
      this.#turns.set(peer, []);
      start();
      return () => this.#next(peer);
    }
    this.#assertRoom(syscall);
    const turn = { start };
    queue.push(turn);
    this.#queued++;
    return () => {
      const at = queue.indexOf(turn);
      if (at < 0) {
        this.#next(peer);
        return;
      }
      queue.splice(at, 1);
      this.#queued--;
    };
  }

  /** Gives the turn to the next request, in a microtask: if requests fail at once, they do not start inside of each other. */
  #next(peer: string): void {
    const turn = this.#turns.get(peer)?.shift();
    if (!turn) {
      this.#turns.delete(peer);
      return;
    }
    this.#queued--;
    queueMicrotask(() => turn.start());
  }

  #assertRoom(syscall: string): void {
    if (this.#waiting.size + this.#queued < maxWaiting) return;
    const text = `${maxWaiting} requests of this socket wait for their answers, which is the limit`;
    throw new OSError("ENOBUFS", { syscall, text });
  }

  #start(syscall: string): () => void {
    const socket = this.#socket;
    const stop = intercept(
      socket,
      {
        wants: (source) => this.#ofMany.size > 0 || this.#byPeer.has(peerOf(source)),
        take: (datagram) => this.#take(datagram),
        failed: (thrown) => this.#failed(thrown),
        closed: () => this.#closed(),
      },
      syscall,
    );
    const unreachable = (report: Unreachable): void => {
      const { destination } = report;
      for (const waiting of this.#waiting) {
        if (destination && this.#same(destination, waiting.to)) waiting.unreachable(report);
      }
    };
    socket.on("unreachable", unreachable);
    return () => {
      socket.off("unreachable", unreachable);
      stop();
    };
  }

  /** Offers a datagram to the requests to its source first. */
  #take(datagram: Datagram): boolean {
    const { source } = datagram;
    const ofPeer = this.#byPeer.get(peerOf(source)) ?? [];
    for (const selective of [true, false]) {
      for (const waiting of ofPeer) {
        if (waiting.selective !== selective || !this.#same(source, waiting.to)) continue;
        if (waiting.take(datagram)) return true;
      }
    }
    for (const waiting of this.#ofMany) {
      const mayAnswer = waiting.from === "any" || source.port === waiting.to.port;
      if (mayAnswer && waiting.take(datagram)) return true;
    }
    return false;
  }

  #failed(thrown: unknown): void {
    for (const waiting of this.#waiting) waiting.fail(toOSError(thrown, waiting.syscall, waiting.to));
  }

  #closed(): void {
    this.#ended = true;
    for (const waiting of this.#waiting) waiting.fail(closedWhileWaiting(waiting));
  }
}

function closedWhileWaiting({ syscall, to }: Waiting): OSError {
  const text = "the socket was closed while this waited";
  return new OSError("ECANCELED", { syscall, address: to.host, port: to.port, text });
}

function peerOf({ host, port }: Endpoint): string {
  return `${host.replace(/%.*/, "")} ${port}`;
}
