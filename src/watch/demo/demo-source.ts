import { Buffer } from "node:buffer";
import { join } from "node:path";
import { Worker } from "node:worker_threads";

import type { Endpoint } from "../../core/address/address.js";
import { sharedAddress } from "../../core/address/shared-addresses.js";
import { Address } from "../../index.js";
import type { Model } from "../model/model.js";
import { packageRoot } from "../package-root.js";
import { SourceLosses } from "../sources/source-losses.js";
import type { WatchedSource } from "../sources/source.js";
import type { FromDemo, Sent, ToDemo } from "./messages.js";

/** Shows the receiver of the demonstration, which runs in a thread of its own. */
export class DemoSource implements WatchedSource {
  /** It is in another thread. */
  readonly socket: undefined = undefined;
  readonly #id: number;
  readonly #model: Model;
  readonly #losses: SourceLosses;
  readonly #worker: Worker;
  /** The sends that are not done. */
  readonly #sends = new Map<number, { resolve: (bytes: number) => void; reject: (error: Error) => void }>();
  #sendCount = 0;
  #dropped = 0;

  constructor(model: Model) {
    this.#model = model;
    this.#id = model.addSource({
      kind: "socket",
      label: "10.0.0.1:9000, cameras",
      simulated: true,
      sends: true,
    }).id;
    this.#losses = new SourceLosses(this.#id, model, { receiveBuffer: 0, queue: 0 });
    this.#worker = new Worker(join(packageRoot, "dist/watch/demo/worker.js"));
    this.#worker.on("message", (message: FromDemo | Sent) => {
      if ("sent" in message) this.#onSent(message);
      else this.#onSeen(message);
    });
  }

  readonly send = (data: Buffer, to: Address): Promise<number> => {
    const message: ToDemo = { id: this.#sendCount++, data, to: String(to) };
    this.#worker.postMessage(message);
    return new Promise((resolve, reject) => this.#sends.set(message.id, { resolve, reject }));
  };

  report(nowMs: number): void {
    this.#losses.dropped("receiveBuffer", this.#dropped, false, nowMs);
    this.#losses.report(nowMs);
  }

  close(): void {
    for (const { reject } of this.#sends.values()) reject(new Error("the demonstration has ended"));
    this.#sends.clear();
    void this.#worker.terminate();
  }

  #onSeen({ seen, droppedKernel, unreachable }: FromDemo): void {
    this.#dropped = droppedKernel;
    for (const { direction, data, source, destination, lostBefore, atMs } of seen) {
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
      const [from, to] = [addressOf(source), addressOf(destination)];
      const timestamp = BigInt(Math.round(atMs * 1000)) * 1000n;
      const arrival = { from, to, timestamp, lostBefore };
      if (direction === "in") this.#model.arrived(this.#id, bytes, 0, arrival, atMs);
      else this.#model.sent(this.#id, bytes, arrival, atMs);
    }
    for (const { destination, code, kind, from } of unreachable) {
      const at = destination === undefined ? undefined : (addressOf(destination) as Endpoint);
      this.#losses.unreachable({ destination: at, code, kind, from }, Date.now());
    }
  }

  #onSent({ sent: { id, bytes, error } }: Sent): void {
    const send = this.#sends.get(id);
    this.#sends.delete(id);
    if (error === undefined) send?.resolve(bytes);
    else send?.reject(new Error(error));
  }
}

function addressOf(text: string): Address {
  const { host, port } = Address.parse(text);
  return sharedAddress(host, port);
}
