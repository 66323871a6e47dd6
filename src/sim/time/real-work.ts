import process from "node:process";

import type { CallCounter } from "./real-calls.js";
import { real } from "./real-timers.js";

/**
 * Work that Node does outside JavaScript and that ends by itself, by its name in `process.getActiveResourcesInfo()`:
 * `node:fs` with callbacks, with promises, and the close of a `FileHandle`; `dns.lookup`, `dns.lookupService`; a child
 * process until it exits.
 *
 * Node 20.20 does not list crypto, zlib, WebAssembly, `dns.resolve…`, and only parts of `import()`; Node 26 no files. What is
 * called in a run is counted instead (`countCalls`). Servers, sockets, pipes
 * and message ports it lists, but they may stay for ever.
 */
const workNames: ReadonlySet<string> = new Set([
  "FSReqCallback",
  "FSReqPromise",
  "CloseReq",
  "GetAddrInfoReqWrap",
  "GetNameInfoReqWrap",
]);
const childName = "ProcessWrap";

/** Turns of the event loop, a millisecond or so, in which a child process that has exited goes from the list. */
const maxSettleTurns = 1_000;

/**
 * Whether files or names are being worked on, calls are under way that were counted, or child processes run beyond those
 * that did when it was made.
 */
export class RealWork implements CallCounter {
  /** May stay for as long as they like, unlike other work that began before: that is waited for. */
  #childrenBefore = Infinity;
  /** The names of the calls that are under way. */
  readonly #calls = new Set<RealCall>();

  constructor() {
    this.pending();
  }

  /**
   * Waits, for a few milliseconds at most, until no child processes are left from before; `undefined` where there are none.
   * One that has exited is listed a little longer, and its end would hide a new one.
   */
  settle(): Promise<void> | undefined {
    return this.#childrenBefore > 0 ? this.#waitForChildren() : undefined;
  }

  begin(name: string, isAtWork: () => boolean = atWork): () => void {
    const call = { name, isAtWork };
    this.#calls.add(call);
    return () => void this.#calls.delete(call);
  }

  /** Whether a call is under way that was counted. */
  get hasCountedCall(): boolean {
    if (this.#calls.size === 0) return false;
    for (const { isAtWork } of this.#calls) if (isAtWork()) return true;
    return false;
  }

  /** The names of the work under way, one each; empty when there is none. Costs about 0.12 µs. */
  pending(): readonly string[] {
    const resources = process.getActiveResourcesInfo();
    let working = 0;
    let children = 0;
    for (const name of resources) {
      if (name === "Immediate") continue;
      if (name === childName) children++;
      else if (workNames.has(name)) working++;
    }
    // What ends of those that were there before makes no room for new ones to hide in.
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
