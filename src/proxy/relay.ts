import { isOverIPv4, isWildcard } from "../core/address/address.js";
import {
  AF_INET,
  AF_INET6,
  type Datagram,
  type Endpoint,
  OSError,
  SOCK_DGRAM,
  type Socket,
  socket,
} from "../index.js";
import { ownAddresses } from "../kernel/own-addresses.js";
import type { RecordOptions, Recording } from "../capture/index.js";
import type { LinkInput } from "../sim/link/settings.js";
import { Random } from "../sim/random.js";
import { ActiveRules } from "./active-rules.js";
import { forgetSocket, isLooped, rememberSocket } from "./loops.js";
import { type Client, Clients } from "./clients.js";
import { DepartureSender } from "./departure-sender.js";
import { Direction } from "./direction.js";
import { type RelayObserver, RelayObservers } from "./observer.js";
import { type CheckedOptions, type ProxyOptions, checkDirections, checkOptions } from "./options.js";
import type { ProxyRule, RelayRule } from "./rules.js";
import { Counts, type DirectionStats, type RelayStats, Tally } from "./stats.js";
import { recordRelay } from "./recording.js";
import { Target } from "./target.js";
import { Upstream } from "./upstream.js";

/** The largest number of datagrams that are read and sent together. */
const batchDatagrams = 512;

/**
 * Starts a UDP relay that treats datagrams as a bad network does. Each client has its own socket for each target, and gets
 * the answers that come to this socket.
 *
 * @throws (rejects) `OSError` of `bind` and `connect`: `EADDRINUSE`, `EADDRNOTAVAIL`, `ENOTFOUND`, `ENETUNREACH`, …;
 *   `EINVAL` if the target is the relay itself; `TypeError`, `RangeError` that name the option.
 */
export async function proxy(options: ProxyOptions): Promise<Relay> {
  const checked = checkOptions(options);
  const { listen } = checked;
  const family = listen.family === AF_INET6 ? AF_INET6 : AF_INET;
  const listener = socket(family, SOCK_DGRAM, { metadata: isWildcard(listen.host) });
  try {
    await listener.bind(listen);
    const own = listener.getsockname();
    const targets = await Promise.all(checked.targets.map((target) => Target.reach(target, own)));
    return new Relay(listener, targets, checked);
  } catch (error) {
    await listener.close();
    throw error;
  }
}

/** Adds an observer of the datagrams of a relay. @returns a function that removes it. */
export let observeRelay: (relay: Relay, observer: RelayObserver) => () => void;

/** A running relay, made by `proxy()`. While it runs, it keeps the process alive. */
export class Relay implements AsyncDisposable {
  /** The address that clients send to. */
  readonly address: Endpoint;
  /** The seed of all random draws. */
  readonly seed: number;
  readonly #listener: Socket;
  readonly #targets: readonly Target[];
  readonly #allAnswer: boolean;
  readonly #rules = new ActiveRules();
  readonly #clients: Clients;
  readonly #up: Direction<Client>;
  readonly #down: Direction<Client>;
  readonly #upUnreachable = new Counts();
  readonly #downUnreachable = new Counts();
  readonly #errors = new Counts();
  /** The counts of closed sockets of clients. */
  readonly #gone: Tally;
  readonly #batch: number;
  readonly #sender: DepartureSender;
  readonly #observers = new RelayObservers();
  readonly #recording: Recording | undefined;
  /** The recordings that run. */
  readonly #recordings = new Set<Recording>();
  #ignored = 0;
  #closing: Promise<void> | undefined;

  static {
    observeRelay = (relay, observer) => relay.#observers.add(observer);
  }

  /** @param listener a bound socket. */
  constructor(listener: Socket, targets: readonly Target[], options: CheckedOptions) {
    this.#listener = listener;
    this.address = listener.getsockname();
    this.#targets = targets;
    this.#allAnswer = options.allAnswer;
    this.seed = options.seed ?? listener.random();
    this.#batch = Math.min(batchDatagrams, options.maxInFlight);
    const replies = isWildcard(this.address.host);
    this.#sender = new DepartureSender({
      ...{ listener, address: this.address, replies, observers: this.#observers },
      failed: (s, error) => this.#failed(s, error),
    });
    this.#gone = new Tally(listener.capabilities.kernelDropCount.available);
    const { clock } = listener;
    const { maxInFlight, maxInFlightBytes, maxClients, idleMs } = options;
    const { up, down } = this.#check(options.link);
    for (const [index, rule] of options.rules.entries()) this.#rules.add(rule, `rules[${index}]`);
    const shared = {
      ...{ clock, maxInFlight, maxInFlightBytes, rules: this.#rules, observers: this.#observers },
      ruleRandom: new Random(this.seed, "rules"),
    };
    this.#up = new Direction(up, new Random(this.seed, "up"), {
      ...shared,
      name: "up",
      send: (departures) => this.#sender.up(departures),
    });
    this.#down = new Direction(down, new Random(this.seed, "down"), {
      ...shared,
      name: "down",
      send: (departures) => this.#sender.down(departures),
    });
    this.#clients = new Clients({
      ...{ clock, maxClients, idleMs },
      keepLast: replies,
      isLooped: (source) => ownAddresses(this.address)(source) || isLooped(source, this),
      open: (client) => this.#open(client),
      removed: (client) => {
        for (const upstream of client.upstreams) {
          this.#gone.add(upstream.socket.stats());
          void upstream.close();
        }
      },
      failed: (error) => this.#errors.add(error.code),
    });
    listener.on("unreachable", (report) => {
      this.#downUnreachable.add(report.code);
      this.#observers.unreachable("down", report, this.address);
    });
    listener.on("pathMtu", (change) => this.#observers.pathMtu("down", change, this.address));
    listener.on("dropped", (loss) => this.#observers.lost("up", loss));
    if (options.record) this.#recording = this.record(options.record.file, options.record.options);
    // The program that gets the relay may begin to record or to watch it before the first datagram.
    void this.#turn().then(() => this.#readClients());
  }

  /** The current address of the first target. */
  get target(): Endpoint {
    return this.targets[0] as Endpoint;
  }

  /** The current addresses of the targets. */
  get targets(): readonly Endpoint[] {
    return this.#targets.map(({ current }) => current);
  }

  /**
   * Replaces the settings of the link; `{}` does nothing to datagrams. Datagrams in flight keep their fate.
   *
   * @throws `TypeError`, `RangeError` that name the field; then nothing changes.
   */
  set(link: LinkInput): void {
    const { up, down } = this.#check(link);
    this.#up.set(up);
    this.#down.set(down);
  }

  /**
   * Adds a rule for certain datagrams. Rules are applied before the link, in the order in which they were added. A rule does
   * not see datagrams that earlier rules have dropped.
   *
   * @returns the rule: it has counts, and a call that removes it.
   * @throws `TypeError`, `RangeError` that name the field; `RangeError` if there are 64 already.
   */
  addRule(rule: ProxyRule): RelayRule {
    return this.#rules.add(rule, "rule");
  }

  /** The recording of the option `record`; `undefined` without it. */
  get recording(): Recording | undefined {
    return this.#recording;
  }

  /**
   * Records the datagrams from now on, as they come in and as they leave: a file as that of `record` of `datagram/capture`. Its
   * interface `clients` has the side of the clients, and `targets` that of the targets. Comments say what the relay does to a
   * datagram, and which setting or rule does it. The recording ends by its own `close()`, or with the relay.
   *
   * @throws as `record` does; `OSError` `EBADF` if the relay is closed.
   */
  record(file: string | URL | number, options: RecordOptions = {}): Recording {
    if (this.#closing) throw new OSError("EBADF", { syscall: "record" });
    const { address, targets } = this;
    const { clock } = this.#listener;
    const recording = recordRelay({ address, targets, clock, observers: this.#observers }, file, options);
    this.#recordings.add(recording);
    void recording.finished.then(() => this.#recordings.delete(recording));
    return recording;
  }

  /** The counts since the start. */
  stats(): RelayStats {
    const upstream = this.#gone.copy();
    for (const client of this.#clients)
      for (const each of client.upstreams) upstream.add(each.socket.stats());
    const listener = new Tally(false);
    listener.add(this.#listener.stats());
    const { now, ever, expired, alikeInRow, refused, looped } = this.#clients;
    const [copied, ignored] = [this.#sender.copied, this.#ignored];
    const none = { copied: 0, ignored: 0, refused: 0, looped: 0 };
    return Object.freeze({
      up: count(this.#up, listener, upstream, this.#upUnreachable, { ...none, copied, refused, looped }),
      down: count(this.#down, upstream, listener, this.#downUnreachable, { ...none, ignored }),
      clients: Object.freeze({ now, ever, expired }),
      alikeInRow,
      targets: Object.freeze(this.#targets.map((target) => target.stats())),
      rules: this.#rules.stats(),
      errors: this.#errors.snapshot(),
    });
  }

  /** Ends the relay: closes its sockets, and counts the datagrams in flight as `unsent`. May be called twice. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  /** Calls `close()`, and waits for it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#up.close();
    this.#down.close();
    await Promise.all([this.#listener.close(), this.#clients.close()]);
    // After this turn, the loops that read these sockets have ended.
    await this.#turn();
    this.#observers.closed();
    await Promise.all(Array.from(this.#recordings, ({ finished }) => finished));
  }

  #check(link: LinkInput): ReturnType<typeof checkDirections> {
    return checkDirections(link, isOverIPv4(this.address));
  }

  #readClients(): Promise<void> {
    const clientOf = (datagram: Datagram): Client | string =>
      this.#clients.of(datagram, this.#listener.clock.now());
    return this.#read(this.#listener, this.#up, clientOf, () => this.address);
  }

  /** Opens the sockets of a client, one for each target. @throws `OSError` `EMFILE`; then no socket is left open. */
  #open(client: Client): void {
    const upstreams: Upstream[] = [];
    try {
      for (const target of this.#targets) upstreams.push(this.#upstream(client, target));
    } catch (error) {
      for (const each of upstreams) void each.close();
      throw error;
    }
    client.upstreams = upstreams;
    const starts = upstreams.map((each) => each.start()).filter((start) => start !== undefined);
    if (starts.length === 0) return;
    client.ready = Promise.all(starts).then(() => {
      client.ready = undefined;
    });
  }

  #upstream(client: Client, target: Target): Upstream {
    const passes = this.#allAnswer || target === this.#targets[0];
    const upstream = new Upstream(target, {
      opened: (s) => {
        const clientOf = (): Client | string => {
          client.activeMs = s.clock.now();
          this.#clients.answered();
          if (passes) return client;
          this.#ignored++;
          return "answer of another target than the first";
        };
        void this.#read(s, this.#down, clientOf, () => upstream.local);
      },
      connected: (s) => rememberSocket(s, this, client.address),
      closing: forgetSocket,
      replaced: (s) => this.#gone.add(s.stats()),
      lost: (loss) => this.#observers.lost("down", loss),
      pathMtu: (change) => this.#observers.pathMtu("up", change, upstream.local),
      unreachable: (report) => {
        const { code } = report;
        this.#observers.unreachable("up", report, upstream.local);
        this.#upUnreachable.add(code);
        target.unreachable.add(code);
        target.lastUnreachable = upstream.at;
        void this.#follow(target, upstream.at);
      },
      failed: (s, error) => this.#failed(s, error),
    });
    return upstream;
  }

  /**
   * Looks up a target that is gone from an address, and connects the clients that were connected there to the new address.
   */
  async #follow(target: Target, gone: Endpoint): Promise<void> {
    const found = await target.findAgain(gone, this.#listener.clock.now());
    if (!found) return;
    for (const { upstreams } of this.#clients) {
      for (const upstream of upstreams) {
        if (upstream.target !== target || !upstream.at.equals(gone)) continue;
        upstream.move(found);
        target.movedClients++;
      }
    }
  }

  /** Reads a socket until it is closed. */
  async #read(
    s: Socket,
    direction: Direction<Client>,
    clientOf: (datagram: Datagram) => Client | string,
    local: () => Endpoint,
  ): Promise<void> {
    for (;;) {
      try {
        direction.enter(await s.recvMany(this.#batch), clientOf, local);
      } catch (error) {
        if (s.closed) return;
        this.#failed(s, error);
        await this.#turn();
      }
      await direction.flush();
    }
  }

  /** Counts the failure of a call, unless the socket was closed or has counted it as an ICMP error. */
  #failed(s: Socket, error: unknown): OSError {
    if (!(error instanceof OSError)) throw error;
    if (!s.closed && !(error.code in (s.stats().unreachable ?? {}))) this.#errors.add(error.code);
    return error;
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#listener.clock.turn(resolve));
  }
}

/** The counts of a direction, with those of datagrams that did not enter it. */
function count(
  direction: Direction<Client>,
  from: Tally,
  to: Tally,
  unreachable: Counts,
  others: Pick<DirectionStats, "copied" | "ignored" | "refused" | "looped">,
): DirectionStats {
  const { dropped, delayed, lost, queueFull, tooBig, duplicated, reordered, corrupted } = direction;
  const { inFlight, overflowed, unsent } = direction;
  return Object.freeze({
    received: from.received,
    delivered: to.sent,
    ...{ dropped, delayed, lost, queueFull, tooBig, duplicated, reordered, corrupted },
    ...{ inFlight, overflowed, unsent, ...others },
    overrun: from.overrun,
    unreachable: unreachable.snapshot(),
  });
}
