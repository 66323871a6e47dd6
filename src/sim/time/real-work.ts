import process from "node:process";

import type { CallCounter } from "./real-calls.js";
import { real } from "./real-timers.js";

/**
 * Names in `process.getActiveResourcesInfo()` of work outside JavaScript that ends by itself:
 * `node:fs` with callbacks, with promises, and the close of a `FileHandle`; `dns.lookup`, `dns.lookupService`; a child
 * process until it exits.
 *
 * Node 20.20 does not list crypto, zlib, WebAssembly and `dns.resolve…`, and lists only parts of `import()`. Node 26 lists no
 * files. Such calls are counted during a run instead (`countCalls`). Servers, sockets, pipes and message ports are listed,
 * but they may stay for ever.
 */
const workNames: ReadonlySet<string> = new Set([
  "FSReqCallback",
  "FSReqPromise",
  "CloseReq",
  "GetAddrInfoReqWrap",
  "GetNameInfoReqWrap",
]);
const childName = "ProcessWrap";

/** Turns of the event loop after which a child process that has exited is no longer listed: about a millisecond. */
const maxSettleTurns = 1_000;

/**
 * Knows whether real work is in progress: files, name lookups, counted calls, and child processes that were started since
 * this object was made.
 */
export class RealWork implements CallCounter {
  /** The number of older child processes. They are not waited for, unlike other work that began before. */
  #childrenBefore = Infinity;
  /** The counted calls in progress. */
  readonly #calls = new Set<RealCall>();

  constructor() {
    this.pending();
  }

  /**
   * Waits until no older child process is listed, a few milliseconds at most; `undefined` if none is listed. A child process
   * that has exited stays listed for a short time, and its end would hide a new one.
   */
  settle(): Promise<void> | undefined {
    return this.#childrenBefore > 0 ? this.#waitForChildren() : undefined;
  }

  begin(name: string, isAtWork: () => boolean = atWork): () => void {
    const call = { name, isAtWork };
    this.#calls.add(call);
    return () => void this.#calls.delete(call);
  }

  /** Whether a counted call is worked on. */
  get hasCountedCall(): boolean {
    if (this.#calls.size === 0) return false;
    for (const { isAtWork } of this.#calls) if (isAtWork()) return true;
    return false;
  }

  /** The name of each piece of work in progress; empty if there is none. Takes about 0.12 µs. */
  pending(): readonly string[] {
    const resources = process.getActiveResourcesInfo();
    let working = 0;
    let children = 0;
    for (const name of resources) {
      if (name === "Immediate") continue;
      if (name === childName) children++;
      else if (workNames.has(name)) working++;
    }
    // When an older child process ends, the number is lowered, so that a new one is noticed.
    if (children < this.#childrenBefore) this.#childrenBefore = children;
    if (this.hasCountedCall) return Array.from(this.#calls, ({ name }) => name);
    if (working === 0 && children === this.#childrenBefore) return noWork;
    return resources.filter((name) => name === childName || workNames.has(name));
  }

  async #waitForChildren(): Promise<void> {
    for (let turn = 0; turn < maxSettleTurns && this.#childrenBefore > 0; turn++) {
      await new Promise<void>((resolve) => void real.setImmediate(resolve));
      this.pending();
    }
  }
}

interface RealCall {
  readonly name: string;
  readonly isAtWork: () => boolean;
}

const atWork = (): boolean => true;

const noWork: readonly string[] = [];
