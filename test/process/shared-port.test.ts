/**
 * Worker threads that share a port, over the native driver only. On Node 20, `node:dgram` has no `SO_REUSEPORT`, and aborts
 * if a thread is terminated between two datagrams of a burst.
 */

import dgram from "node:dgram";
import { once } from "node:events";
import { availableParallelism } from "node:os";

import { type TestContext, describe, expect, test } from "vitest";

import { host } from "../page/matrix.js";
import { unusedPort } from "../ports.js";
import { Program, cleanEnding, home, start, whySkipped, withDriver } from "./programs.js";

const why = whySkipped("native");
/** Holds for every datagram, whether workers end or not. */
const orderly = { strayed: 0, overtaken: 0, doubled: 0, lostWithoutReason: 0, descriptorsMore: 0 };
/** Datagrams in flight in the fixture: 4 of each of 64 senders. */
const underWay = 256;

async function shared(context: TestContext, how: "stay" | "terminate"): Promise<Record<string, unknown>> {
  const { lines, ...ending } = await start(context, "native", "shared-port", [how]).ended;
  expect(ending).toEqual(cleanEnding);
  return JSON.parse(lines[0]!) as Record<string, unknown>;
}

describe.skipIf(why !== undefined)(`over native${why === undefined ? "" : ` (${why})`}`, () => {
  // semantics: shared-port
  test("workers that share a port receive every datagram once, those of one sender in one worker and in order", async (context) => {
    expect(await shared(context, "stay")).toEqual({
      ...orderly,
      reachedWorkers: [1, 1, 1, 1],
      notArrived: 0,
      lostWithWorker: 0,
    });
  });

  // semantics: shared-port-terminated
  test("a worker that is terminated under load loses the datagrams in flight, and no others", async (context) => {
    const { lostWithWorker, notArrived, ...rest } = await shared(context, "terminate");
    expect(rest).toEqual({ ...orderly, reachedWorkers: [1, 1, 1, 1] });
    // The unread datagrams of its socket are gone. Three workers were terminated, and the last one had read everything.
    expect(lostWithWorker).toBeLessThanOrEqual(3 * underWay);
    expect(notArrived).toBeLessThanOrEqual(lostWithWorker as number);
  });

  test("the example's workers acknowledge each of many clients once", async (context) => {
    const port = unusedPort();
    const example = `${home}build/examples/workers.js`;
    const command = [process.execPath, example, host, String(port)];
    const program = new Program(context, command, withDriver("native"));
    for (let worker = 0; worker < availableParallelism(); worker++) {
      expect(await program.line()).toMatch(new RegExp(`^worker \\d+ listens on ${host}:${port}$`));
    }
    const clients = await Promise.all(Array.from({ length: 32 }, (_, index) => ask(context, port, index)));
    const printed = new Set<string>();
    for (let client = 0; client < 32; client++)
      printed.add((await program.line()).replace(/^worker \d+ /, ""));
    expect(printed).toEqual(
      new Set(clients.map(({ port }, index) => `got ping ${index} from ${host}:${port}`)),
    );
    for (const [index, { answers }] of clients.entries()) expect(answers).toEqual([`ack: ping ${index}`]);
  });
});

/** A client of this process, after its first answer. Later answers are added to its list. */
async function ask(
  { onTestFinished }: TestContext,
  to: number,
  index: number,
): Promise<{ port: number; answers: string[] }> {
  const s = dgram.createSocket("udp4").bind(0, host);
  onTestFinished(() => void s.close());
  await once(s, "listening");
  const answers: string[] = [];
  s.on("message", (data) => answers.push(data.toString()));
  const answered = once(s, "message");
  s.send(`ping ${index}`, to, host);
  await answered;
  return { port: s.address().port, answers };
}
