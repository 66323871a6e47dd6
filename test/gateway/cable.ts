/** A TCP connection through the process of a test, which can break in the ways of a network. */

import { once } from "node:events";
import { type Socket as TcpSocket, connect, createServer } from "node:net";

import type { TestContext } from "vitest";

/** Forwards connections at a port of its own to another port on loopback. */
export class Cable {
  /** Whether bytes of the server are thrown away. */
  deaf = false;
  /** How late bytes come to the server. */
  delayMs = 0;
  readonly port: number;
  /** Both ends of each connection: towards the client, and towards the server. */
  readonly #pairs = new Set<readonly [near: TcpSocket, far: TcpSocket]>();
  #isStalled = false;

  private constructor(port: number) {
    this.port = port;
  }

  /** A cable to a port, which ends with its test. */
  static async to(t: TestContext, port: number): Promise<Cable> {
    const listener = createServer({ allowHalfOpen: true });
    listener.listen(0, "127.0.0.1");
    await once(listener, "listening");
    const cable = new Cable((listener.address() as { port: number }).port);
    listener.on("connection", (near) => cable.#connect(near, port));
    t.onTestFinished(() => {
      cable.cut();
      listener.close();
    });
    return cable;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** Resets all connections. */
  cut(): void {
    for (const pair of this.#pairs) for (const end of pair) end.resetAndDestroy();
    this.#pairs.clear();
  }

  /** Passes no bytes on until `resume`, in both directions. New connections stall too. */
  stall(): void {
    this.#isStalled = true;
    for (const pair of this.#pairs) for (const end of pair) end.pause();
  }

  /** Passes bytes on again. */
  resume(): void {
    this.#isStalled = false;
    for (const pair of this.#pairs) for (const end of pair) end.resume();
  }

  /** Ends one direction of all connections: the receiver reads the end, and can still send. */
  endTowards(side: "client" | "server"): void {
    for (const [near, far] of this.#pairs) (side === "client" ? near : far).end();
  }

  #connect(near: TcpSocket, port: number): void {
    const far = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on("data", (data) => {
        const pass = () => other.writableEnded || other.write(data);
        if (one === near && this.delayMs > 0) setTimeout(pass, this.delayMs);
        else if (one === near || !this.deaf) pass();
      });
      one.on("end", () => other.end());
      one.on("error", () => other.destroy());
      one.on("close", () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
      if (this.#isStalled) one.pause();
    }
  }
}
