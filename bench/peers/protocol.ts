/**
 * What the peers in JavaScript share. A peer is called `<program> <role> key=value …`. If others need its ports, it prints one
 * line of JSON after its sockets are bound. It prints one line with its figures at the end.
 */
import { readFileSync } from "node:fs";
import { type PerformanceEntry, PerformanceObserver } from "node:perf_hooks";
import { setImmediate, setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

export type Figures = Readonly<Record<string, number | string | readonly number[]>>;

export const host = "127.0.0.1";

/** No peer runs longer than the longest workload, whatever fails. */
const longestMs = 120_000;
const defaultTickMs = 10;

/** Runs the role that the command line names, and prints its result. */
export async function play(
  roles: Readonly<Record<string, (task: Task) => Figures | Promise<Figures>>>,
): Promise<void> {
  const [, , name = "", ...settings] = process.argv;
  const role = roles[name];
  if (!role) throw new Error(`no role ${name}`);
  tell(await role(new Task(settings)));
}

export function tell(figures: Figures): void {
  console.log(JSON.stringify(figures));
}

/** The settings of the command line. */
export class Task {
  readonly #settings: ReadonlyMap<string, string>;

  constructor(settings: readonly string[]) {
    this.#settings = new Map(settings.map((each) => each.split("=", 2) as [string, string]));
    setTimeout(
      () => {
        console.error("took too long");
        process.exit(1);
      },
      this.number("limitMs", longestMs),
    ).unref();
  }

  text(name: string, otherwise?: string): string {
    const value = this.#settings.get(name) ?? otherwise;
    if (value === undefined) throw new Error(`${name}= is missing`);
    return value;
  }

  number(name: string, otherwise?: number): number {
    return Number(this.text(name, otherwise?.toString()));
  }

  /** The ports of `to=`. */
  get ports(): readonly number[] {
    return this.text("to").split(",").map(Number);
  }

  /** `count` payloads of `size` bytes, each in a buffer of its own, as in a real program. */
  payloads(count: number): Buffer[] {
    const size = this.number("size");
    return Array.from({ length: count }, (_, index) => Buffer.alloc(size, index));
  }

  /** The ports of the datagrams of one batch, in order: `each` datagrams for each peer, in turns or grouped. */
  get destinations(): number[] {
    const { ports } = this;
    const turns = Math.max(1, Math.ceil(this.number("batch") / ports.length));
    return this.text("order", "turns") === "turns"
      ? Array.from({ length: turns }, () => ports).flat()
      : ports.flatMap((port) => Array.from({ length: turns }, () => port));
  }
}

/** Counts the datagrams of a receiver, and measures in a window that opens a while after the first datagram. */
export class ReceiveMeter {
  readonly #window: Window;
  #count = 0;
  #bytes = 0;
  /** The figures, after the window is over, standard input has ended, and no datagram has arrived for a while. */
  readonly finished: Promise<Figures>;

  constructor(task: Task) {
    this.#window = new Window(task);
    const quietMs = task.number("quietMs");
    const tickMs = task.number("tickMs", defaultTickMs);
    let last = { at: 0, count: 0 };
    let ended = false;
    process.stdin.resume().once("end", () => (ended = true));
    this.finished = new Promise((resolve) => {
      const timer = setInterval(() => {
        if (this.#count === 0) return;
        const at = this.#window.look(this.#count);
        if (this.#count !== last.count) last = { at, count: this.#count };
        if (!this.#window.figures || !ended || at - last.at < quietMs) return;
        clearInterval(timer);
        resolve({ ...this.#window.figures, total: this.#count, bytes: this.#bytes });
      }, tickMs);
    });
  }

  /** The receiver calls this for each datagram. */
  add(size: number): void {
    this.#bytes += size;
    // In a flood, the timers of a runtime may not run.
    if (++this.#count % 256 === 0) this.#window.look(this.#count);
  }
}

/** Times a sender, which continues while `more` returns true: a warm-up, the measured window, and a tail. */
export class SendMeter {
  readonly #began = performance.now();
  readonly #window: Window;
  readonly #leastMs: number;
  #total = 0;

  constructor(task: Task) {
    this.#window = new Window(task);
    this.#leastMs = task.number("warmUpMs") + task.number("windowMs") + task.number("tailMs", 0);
  }

  /** Must be called before each batch, with the number of datagrams that the kernel accepted of the last batch. */
  more(sent: number): boolean {
    this.#total += sent;
    const at = this.#window.look(this.#total);
    return !this.#window.figures || at - this.#began < this.#leastMs;
  }

  get figures(): Figures {
    return { ...this.#window.figures, total: this.#total };
  }
}

/** The measured time: it begins a while after the first look, when all hot code is compiled. */
class Window {
  readonly #warmUpMs: number;
  readonly #windowMs: number;
  readonly #collections = new Collections();
  readonly #waitedBeforeMs = waitedMs();
  #first: number | undefined;
  #start: { at: number; count: number; cpu: NodeJS.CpuUsage } | undefined;
  /** The figures, after the window is over. */
  figures: Figures | undefined;

  constructor(task: Task) {
    this.#warmUpMs = task.number("warmUpMs");
    this.#windowMs = task.number("windowMs");
  }

  /** Opens and closes the window when it is time, with the number of datagrams until now. Returns the time. */
  look(count: number): number {
    const at = performance.now();
    this.#first ??= at;
    if (!this.#start) {
      if (at - this.#first >= this.#warmUpMs) this.#start = { at, count, cpu: process.cpuUsage() };
    } else if (!this.figures && at - this.#start.at >= this.#windowMs) {
      const { user, system } = process.cpuUsage(this.#start.cpu);
      this.figures = {
        datagrams: count - this.#start.count,
        seconds: (at - this.#start.at) / 1000,
        // Includes the warm-up: a peer that waits there begins late, and measures after the others have ended.
        waited: (waitedMs() - this.#waitedBeforeMs) / (at - this.#first),
        cpuSeconds: (user + system) / 1e6,
        rssBytes: process.memoryUsage.rss(),
        ...this.#collections.between(this.#start.at, at),
      };
    }
    return at;
  }
}

/** Microseconds of round trips: the median and the 99th percentile. */
export async function roundTrips(task: Task, once: () => Promise<unknown>): Promise<Figures> {
  const count = task.number("count");
  const times = new Float64Array(count);
  for (let index = -Math.ceil(count / 5); index < count; index++) {
    const started = performance.now();
    await once();
    if (index >= 0) times[index] = (performance.now() - started) * 1000;
  }
  times.sort();
  return { p50: times[Math.floor(count * 0.5)] ?? NaN, p99: times[Math.floor(count * 0.99)] ?? NaN };
}

/** The number of sockets that are opened and closed before the event loop turns, since libuv frees closed ones then. */
const socketsEachTurn = 100;

/** Times `once`, which opens, binds and closes a socket. */
export async function openAndClose(task: Task, once: () => Promise<void>): Promise<Figures> {
  const meter = new SendMeter(task);
  for (let opened = 0; meter.more(opened); opened = socketsEachTurn) {
    for (let left = socketsEachTurn; left > 0; left--) await once();
    await setImmediate();
  }
  return meter.figures;
}

/** Resident memory of each of the sockets that `open` returns, after a garbage collection. A few are opened and closed before. */
export async function keepIdle<S extends { close(): unknown }>(
  task: Task,
  open: () => Promise<S>,
): Promise<Figures> {
  const sockets: S[] = [];
  const openMany = async (count: number): Promise<void> => {
    for (let left = count; left > 0; left--) sockets.push(await open());
  };
  await openMany(task.number("warmUpSockets"));
  for (const s of sockets.splice(0)) s.close();
  const before = await residentBytes();
  await openMany(task.number("sockets"));
  const bytesEach = ((await residentBytes()) - before) / sockets.length;
  for (const s of sockets) s.close();
  return { bytesEach };
}

/** Resident memory after the garbage is collected, together with memory that finalizers free. */
async function residentBytes(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    collectGarbage();
    await delay(50);
  }
  return process.memoryUsage.rss();
}

const collectGarbage = process.versions.bun === undefined ? exposedGc() : (): void => Bun.gc(true);

/** The garbage collection of Node, as `--expose-gc` exposes it. */
function exposedGc(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

/** How long this thread was ready to run and had no CPU, because other work on the machine had it. */
function waitedMs(): number {
  const [, waitedNs] = readFileSync("/proc/thread-self/schedstat", "utf8").split(" ");
  return Number(waitedNs) / 1e6;
}

/** The pauses of the garbage collector. Bun does not report them. */
class Collections {
  readonly #pauses: PerformanceEntry[] = [];
  readonly #observer: PerformanceObserver | undefined;

  constructor() {
    if (process.versions.bun !== undefined) return;
    this.#observer = new PerformanceObserver((list) => void this.#pauses.push(...list.getEntries()));
    this.#observer.observe({ entryTypes: ["gc"] });
  }

  between(start: number, end: number): Figures {
    if (!this.#observer) return {};
    this.#pauses.push(...this.#observer.takeRecords());
    const within = this.#pauses.filter(({ startTime }) => startTime >= start && startTime < end);
    return {
      gcMs: within.reduce((sum, { duration }) => sum + duration, 0),
      gcCount: within.length,
    };
  }
}
