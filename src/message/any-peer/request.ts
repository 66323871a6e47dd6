import type { AddressLike } from "../../core/address/address.js";
import type { Data } from "../../core/driver/payload.js";
import { OSError, TimeoutError, outOfRange, wholeNumber, wrongType } from "../../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../../core/errors/fields.js";
import type { Unreachable } from "../../core/ledger/reports.js";
import type { Datagram } from "../../core/receive/datagram.js";
import type { Socket } from "../../core/socket/socket.js";
import { type Obstacle, obstacleOf, obstacleToSend, unreachableError } from "../unreachable.js";
import {
  checkDestination,
  checkFunction,
  checkMs,
  checkSignal,
  checkSocket,
  copyOf,
  endpointOf,
  failure,
  isForMany,
  longestMs,
} from "./arguments.js";
import { type Asked, Call } from "./call.js";

/** The options of `request`. The first three are the parameters of RFC 7252 section 4.8. */
export interface RequestOptions {
  /** Milliseconds until the datagram is sent again, above 0. The time doubles each time. @default 2000 */
  readonly ackTimeoutMs?: number | undefined;
  /** The first wait is random from `ackTimeoutMs` to this many times `ackTimeoutMs`, 1 to 10. @default 1.5 */
  readonly ackRandomFactor?: number | undefined;
  /** How often the datagram is sent again at most, 0 to 20. @default 4 */
  readonly maxRetransmit?: number | undefined;
  /** Milliseconds until the request fails, above 0, at most a day. @default as the other options say: 62 to 93 s */
  readonly timeoutMs?: number | undefined;
  /** Ends the request: it rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Whether a datagram from the address is the answer. Other datagrams go to the receive calls of the socket. If it throws, the
   * request rejects with that error. With it, requests to one address run at the same time.
   * @default the first datagram from the address
   */
  readonly accept?: ((answer: Datagram) => boolean) | undefined;
}

const syscall = "request";
const fields = fieldsOf<RequestOptions>({
  ackTimeoutMs: true,
  ackRandomFactor: true,
  maxRetransmit: true,
  timeoutMs: true,
  signal: true,
  accept: true,
});

interface CheckedOptions extends RequestOptions {
  readonly ackTimeoutMs: number;
  readonly ackRandomFactor: number;
  readonly maxRetransmit: number;
}

/**
 * Sends a datagram and returns the first datagram that comes back from its destination. Until then it sends the datagram again
 * and again, with waits that double (RFC 7252 section 4.2). The peer can be any program that answers a datagram with one.
 *
 * Many requests can wait at the same time, up to 1,024 for each socket, also while an iteration or another call reads the
 * socket: these do not get the answers. Requests to one address take turns, unless they have `accept`, because an answer
 * without a number cannot tell which request it answers. A peer may get a request more than once, and its later answers are
 * ordinary datagrams. If two peers ask each other, a question looks like an answer: then both need `accept`. While only
 * requests read the socket, up to 1,024 other datagrams (4 MiB) wait for the next receive call. Further datagrams are dropped
 * and counted as `droppedQueue`. `settimeout` does not apply.
 *
 * @param data is copied during the call.
 * @param address a host name or an IP address, and a port.
 * @throws (rejects) `TimeoutError` without an answer, or in its place `OSError` `EHOSTUNREACH` and others if ICMP errors said
 *   meanwhile that the peer cannot be reached; at once `ECONNREFUSED` if an ICMP error says that nobody is listening, and others if
 *   it says that the traffic is prohibited (both need the feature `icmpErrors`, or a connected socket); `EINVAL` for a group
 *   or 255.255.255.255, `ENOBUFS` above 1,024 requests, `ECANCELED` by `close()`, `EBADF`, and as `sendto`; `TypeError`,
 *   `RangeError`; `signal.reason`.
 */
export async function request(
  socket: Socket,
  data: Data,
  address: AddressLike,
  options: RequestOptions = {},
): Promise<Datagram> {
  checkSocket(socket, options);
  const checked = checkOptions(options);
  const named = checkDestination(socket, address, syscall);
  const payload = copyOf(data);
  checked.signal?.throwIfAborted();
  const to = await endpointOf(socket, named, syscall);
  checked.signal?.throwIfAborted();
  if (isForMany(to)) {
    throw failure(syscall, "EINVAL", to, "its answers come from other addresses: use collect()");
  }
  return new Promise((resolve, reject) => {
    new Request({ socket, payload, to, signal: checked.signal, resolve, reject }, checked).start();
  });
}

/** One request: its times, and its turn among those to the same address. */
class Request extends Call<Datagram> {
  readonly syscall: string = syscall;
  readonly from = "to";
  readonly selective: boolean;
  readonly #options: CheckedOptions;
  #startedAt = 0;
  #obstacle: Obstacle | undefined;

  constructor(asked: Asked<Datagram>, options: CheckedOptions) {
    super(asked);
    this.selective = options.accept !== undefined;
    this.#options = options;
  }

  /** Starts when no other request to the peer waits. */
  start(): void {
    const { timeoutMs, accept } = this.#options;
    this.#startedAt = this.socket.clock.now();
    this.heed();
    if (timeoutMs !== undefined) this.ending.push(this.socket.clock.after(timeoutMs, () => this.#expire()));
    if (accept) {
      this.#run();
      return;
    }
    try {
      // The turn comes now, or later: `ended` says whether the request was given up before.
      const leave = this.answers.turn(this.to, syscall, () => this.#run());
      if (this.ended) leave();
      else this.ending.push(leave);
    } catch (error) {
      this.fail(error);
    }
  }

  take(answer: Datagram): boolean {
    const { accept } = this.#options;
    try {
      if (accept && !accept(answer)) {
        this.#obstacle = undefined;
        return false;
      }
    } catch (error) {
      this.fail(error);
      return false;
    }
    this.succeed(answer);
    return true;
  }

  unreachable(report: Unreachable): void {
    const obstacle = obstacleOf(report, this.socket.clock.now());
    if (obstacle) this.#obstacle = obstacle;
    else this.fail(unreachableError(syscall, this.to, report));
  }

  /** If an earlier send has left, the way to the peer may come back. */
  protected override sendFailed(error: unknown): void {
    const now = this.socket.clock.now();
    const obstacle = this.sends > 1 ? obstacleToSend(error, this.#obstacle, now) : undefined;
    if (obstacle) this.#obstacle = obstacle;
    else this.fail(error);
  }

  #run(): void {
    if (this.ended) return;
    // If the signal also ended the previous request, the turn comes before the signal has ended this request.
    if (this.signal?.aborted === true) {
      this.fail(this.signal.reason);
      return;
    }
    if (!this.listen()) return;
    const { ackTimeoutMs, ackRandomFactor } = this.#options;
    const random = this.socket.random() / 2 ** 32;
    this.#send(ackTimeoutMs * (1 + random * (ackRandomFactor - 1)));
  }

  #send(waitMs: number): void {
    this.send(Math.min(waitMs, longestMs), () => {
      if (this.sends > this.#options.maxRetransmit) this.#expire();
      else this.#send(waitMs * 2);
    });
  }

  #expire(): void {
    const ms = Math.round(this.socket.clock.now() - this.#startedAt);
    const { host, port } = this.to;
    const sent =
      this.sends === 0
        ? "an earlier request to this address had no answer yet"
        : this.sends === 1
          ? "it was sent once"
          : `it was sent ${this.sends} times`;
    const text = `no answer in ${ms} ms, ${sent}`;
    const obstacle = this.#obstacle;
    this.fail(
      obstacle
        ? new OSError(obstacle.code, { syscall, address: host, port, text: `${text}: ${obstacle.text}` })
        : new TimeoutError({ syscall, address: host, port, text }),
    );
  }
}

/** Checks the options. Reads each option once. */
function checkOptions(options: RequestOptions): CheckedOptions {
  refuseUnknown(options, fields, "options: a field");
  const {
    ackTimeoutMs = 2000,
    ackRandomFactor = 1.5,
    maxRetransmit = 4,
    timeoutMs,
    signal,
    accept,
  } = options;
  checkMs("ackTimeoutMs", ackTimeoutMs);
  if (typeof ackRandomFactor !== "number") throw wrongType("ackRandomFactor", "a number", ackRandomFactor);
  if (!(ackRandomFactor >= 1 && ackRandomFactor <= 10))
    throw outOfRange("ackRandomFactor", "a number from 1 to 10", ackRandomFactor);
  wholeNumber("maxRetransmit", maxRetransmit, 0, 20);
  if (timeoutMs !== undefined) checkMs("timeoutMs", timeoutMs);
  checkSignal(signal);
  checkFunction("accept", accept);
  return { ackTimeoutMs, ackRandomFactor, maxRetransmit, timeoutMs, signal, accept };
}
