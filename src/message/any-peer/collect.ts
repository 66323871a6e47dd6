import type { AddressLike } from "../../core/address/address.js";
import type { Data } from "../../core/driver/payload.js";
import { wholeNumber, wrongType } from "../../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../../core/errors/fields.js";
import type { Datagram } from "../../core/receive/datagram.js";
import type { Socket } from "../../core/socket/socket.js";
import {
  checkDestination,
  checkFunction,
  checkMs,
  checkSignal,
  checkSocket,
  copyOf,
  endpointOf,
} from "./arguments.js";
import { type Asked, Call } from "./call.js";

/** The options of `collect`. */
export interface CollectOptions {
  /** Milliseconds to wait for answers, above 0, at most a day. @default 2000 */
  readonly timeoutMs?: number | undefined;
  /** How often the datagram is sent, 1 to 20, at equal intervals of `timeoutMs`. @default 3 */
  readonly sends?: number | undefined;
  /** The call ends when it has this many answers, 1 to 65,536. @default 1024 */
  readonly max?: number | undefined;
  /** Whether answers may come from any port. Otherwise they come from the port that was sent to. @default false */
  readonly anyPort?: boolean | undefined;
  /** Whether a datagram is an answer. If it throws, the call rejects with that error. @default all are */
  readonly accept?: ((answer: Datagram) => boolean) | undefined;
  /** Called with each answer when it comes. If it throws, the call rejects with that error. */
  readonly onAnswer?: ((answer: Datagram) => void) | undefined;
  /** Ends the call: it rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

const syscall = "collect";
const fields = fieldsOf<CollectOptions>({
  timeoutMs: true,
  sends: true,
  max: true,
  anyPort: true,
  accept: true,
  onAnswer: true,
  signal: true,
});

interface CheckedOptions extends CollectOptions {
  readonly timeoutMs: number;
  readonly sends: number;
  readonly max: number;
  readonly anyPort: boolean;
}

/**
 * Sends a datagram to a group or a broadcast address, and returns the answers that come within a time, one for each address:
 * the way to find devices. The datagram is sent several times, since it may be lost, so a device may answer several times; its
 * later answers are discarded.
 *
 * @param data is copied during the call.
 * @param address `["<broadcast>", 9000]`, a subnet's broadcast address, a multicast group, or one host. Broadcast needs the
 *   option `SO_BROADCAST`.
 * @returns the first answer of each address, in the order in which they came; none is no error.
 * @throws (rejects) `OSError` `ENOBUFS` above 1,024 requests, `ECANCELED` by `close()`, `EBADF`, and as `sendto`; `TypeError`,
 *   `RangeError`; `signal.reason`.
 */
export async function collect(
  socket: Socket,
  data: Data,
  address: AddressLike,
  options: CollectOptions = {},
): Promise<Datagram[]> {
  checkSocket(socket, options);
  const checked = checkOptions(options);
  const named = checkDestination(socket, address, syscall);
  const payload = copyOf(data);
  checked.signal?.throwIfAborted();
  const to = await endpointOf(socket, named, syscall);
  checked.signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    new Collection({ socket, payload, to, signal: checked.signal, resolve, reject }, checked).start();
  });
}

/** The answers of one `collect`. */
class Collection extends Call<Datagram[]> {
  readonly syscall: string = syscall;
  readonly from: "port" | "any";
  readonly selective = false;
  readonly #options: CheckedOptions;
  readonly #found = new Map<string, Datagram>();

  constructor(asked: Asked<Datagram[]>, options: CheckedOptions) {
    super(asked);
    this.from = options.anyPort ? "any" : "port";
    this.#options = options;
  }

  start(): void {
    this.heed();
    if (this.listen()) this.#send();
  }

  take(answer: Datagram): boolean {
    const { accept, onAnswer, max } = this.#options;
    try {
      if (accept && !accept(answer)) return false;
      const source = String(answer.source);
      if (this.#found.has(source)) return true;
      this.#found.set(source, answer);
      onAnswer?.(answer);
    } catch (error) {
      this.fail(error);
      return true;
    }
    if (this.#found.size === max) this.#finish();
    return true;
  }

  /** One of several hosts, or a router: the others may answer. */
  unreachable(): void {
    return;
  }

  #send(): void {
    const { sends, timeoutMs } = this.#options;
    this.send(timeoutMs / sends, () => {
      if (this.sends < sends) this.#send();
      else this.#finish();
    });
  }

  #finish(): void {
    this.succeed([...this.#found.values()]);
  }
}

/** Checks the options. Reads each option once. */
function checkOptions(options: CollectOptions): CheckedOptions {
  refuseUnknown(options, fields, "options: a field");
  const { timeoutMs = 2000, sends = 3, max = 1024, anyPort = false, accept, onAnswer, signal } = options;
  checkMs("timeoutMs", timeoutMs);
  wholeNumber("sends", sends, 1, 20);
  wholeNumber("max", max, 1, 65_536);
  if (typeof anyPort !== "boolean") throw wrongType("anyPort", "a boolean", anyPort);
  checkFunction("accept", accept);
  checkFunction("onAnswer", onAnswer);
  checkSignal(signal);
  return { timeoutMs, sends, max, anyPort, accept, onAnswer, signal };
}
