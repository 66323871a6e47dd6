/** What tests of messages share: two hosts on one link, with messages at both. */

import type { Socket } from "datagram";
import { type Message, type Messages, type MessagesOptions, messages } from "datagram/message";
import { type Host, type Link, type LinkInput, Network } from "datagram/sim";

/** Where the desk receives. */
export const desk = ["10.0.0.2", 9000] as const;

/** A camera that sends to a desk. */
export interface Ends {
  readonly network: Network;
  readonly link: Link;
  readonly hosts: readonly [camera: Host, desk: Host];
  readonly sockets: readonly [camera: Socket, desk: Socket];
  readonly camera: Messages;
  readonly desk: Messages;
}

/** Runs a program with a camera and a desk on one link, in virtual time. */
export async function between<T>(
  settings: LinkInput,
  program: (ends: Ends) => Promise<T>,
  options: {
    readonly seed?: number;
    readonly camera?: MessagesOptions;
    readonly desk?: MessagesOptions;
  } = {},
): Promise<T> {
  const network = new Network({ seed: options.seed ?? 1 });
  const hosts = [
    network.host("camera", { address: "10.0.0.1" }),
    network.host("desk", { address: desk[0] }),
  ] as const;
  const link = network.link(hosts[0], hosts[1], settings);
  return await network.run(async () => {
    const sockets = [hosts[0].socket(), hosts[1].socket()] as const;
    await sockets[1].bind(desk);
    const [camera, other] = [messages(sockets[0], options.camera), messages(sockets[1], options.desk)];
    return await program({ network, link, hosts, sockets, camera, desk: other });
  });
}

/** Bytes that differ at each place and in each run. */
export function pattern(bytes: number, seed = 1): Buffer {
  const data = Buffer.alloc(bytes);
  let state = seed >>> 0;
  for (let at = 0; at < bytes; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data[at] = state >>> 24;
  }
  return data;
}

/** The messages that arrive from now on. */
export function collect(from: Messages): Message[] {
  const found: Message[] = [];
  void (async () => {
    for await (const message of from) found.push(message);
  })();
  return found;
}

/** The next message. */
export async function next(from: Messages): Promise<Message> {
  const step = await from[Symbol.asyncIterator]().next();
  if (step.done === true) throw new Error("the messages are closed");
  return step.value;
}

/** Waits, in the time of the test. */
export async function sleep(ms: number): Promise<void> {
  await new Promise((done) => setTimeout(done, ms));
}
