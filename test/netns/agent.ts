/** A process on a host that does calls for the tests, so that not each call or socket needs a process of its own. */

import { setTimeout as wait } from "node:timers/promises";

import { expect } from "vitest";

import {
  type DriverName,
  type Lifetime,
  Program,
  cleanEnding,
  home,
  withDriver,
} from "../process/programs.js";
import type { Host } from "./network.js";

interface Waiting {
  readonly resolve: (outcome: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The longest wait for the end of the process, in milliseconds. */
const patienceMs = 60_000;

/** Sends each call with a number, as a line of JSON, and reads outcomes with these numbers, in any order. */
export class Agent {
  readonly #program: Program;
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;

  constructor(life: Lifetime, command: readonly string[], driver?: DriverName) {
    this.#program = new Program(life, command, withDriver(driver), "pipe");
    void this.#read();
  }

  /** Does a call, and returns its outcome. @throws if the process ends before. */
  async call(call: object): Promise<unknown> {
    this.#program.assertRunning("before a call");
    const id = ++this.#calls;
    this.#program.write(JSON.stringify({ id, ...call }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  /** Ends the input of the process, and checks that it ends normally. */
  async end(): Promise<void> {
    this.#program.endInput();
    const late = wait(patienceMs, "runs after the end of its input", { ref: false });
    expect(await Promise.race([this.#program.ended, late])).toMatchObject(cleanEnding);
  }

  /** Ends the process at once. */
  async kill(): Promise<void> {
    this.#program.kill("SIGKILL");
    await this.#program.ended;
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const { id, outcome } = JSON.parse(await this.#program.line()) as { id: number; outcome: unknown };
        this.#waiting.get(id)?.resolve(outcome);
        this.#waiting.delete(id);
      }
    } catch (error) {
      for (const { reject } of this.#waiting.values()) reject(error);
    }
  }
}

const agents = new WeakMap<Host, Map<string, Agent>>();

/** The process on a host that runs this command over this driver. It must end normally when the host is gone. */
export function agentOn(at: Host, command: readonly string[], driver?: DriverName): Agent {
  const ofHost = agents.get(at) ?? new Map<string, Agent>();
  agents.set(at, ofHost);
  const key = JSON.stringify([driver, ...command]);
  const known = ofHost.get(key);
  if (known) return known;
  const agent = new Agent(at.life, command, driver);
  ofHost.set(key, agent);
  at.life.onTestFinished(() => agent.end());
  return agent;
}

/** The command that runs a program of `test/netns/fixtures`. */
export function fixture(name: string): readonly string[] {
  return [process.execPath, `${home}build/test/netns/fixtures/${name}.js`];
}
