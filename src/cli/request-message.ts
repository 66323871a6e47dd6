/** `datagram request --message`: a request of messages, whose data and reply may have any size. */

import { Option } from "commander";

import type { Endpoint } from "../core/address/address.js";
import { OSError, type Unreachable } from "../index.js";
import { type Message, MessageError, messages } from "../message/index.js";
import { formatDuration } from "../sim/link/unit-texts.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { type Source, readMessage } from "./input.js";

import { type RouteOptions, isGroup } from "./route-options.js";
import { maxMessageBytes, messageFailure } from "./send-message.js";
import { openConnected } from "./sender-sockets.js";
import { stopSignal } from "./terminal.js";

/** The option of `datagram request`. Answers of several peers, and tries, are for plain datagrams. */
export function messageOption(): Option {
  return new Option(
    "--message",
    "send the data as a message of any size, to a peer that serves them",
  ).conflicts(["all", "count", "retries", "broadcast", "everyInterface", "join"]);
}

/** Sends the data as a request of messages, and returns the reply. @throws `Failure`. */
export async function requestMessage(
  where: Endpoint,
  source: Source,
  options: RouteOptions & { readonly timeout: number },
): Promise<{ reply: Message; elapsedMs: number }> {
  if (isGroup(where)) throw usage(`a message is for one peer, and ${where} is a multicast group`);
  const data = await readMessage(source, maxMessageBytes);
  const { timeout: timeoutMs } = options;
  await using s = await openConnected(where, options);
  const to = s.getpeername();
  const m = messages(s);
  let report: Unreachable | undefined;
  s.on("unreachable", (each) => (report = each));
  const signal = stopSignal();
  const start = s.clock.now();
  try {
    const reply = await m.request(data, to, { timeoutMs, signal });
    return { reply, elapsedMs: s.clock.now() - start };
  } catch (error) {
    if (signal.aborted) throw new Failure(exitCodes.error, "interrupted before the reply came");
    if (!(error instanceof OSError)) throw error;
    if (error.code === "EPROTO") {
      throw new Failure(exitCodes.error, `${to} could not answer: its handler or its program failed`);
    }
    if (error instanceof MessageError && error.code === "ETIMEDOUT" && error.arrivedChunks > 0) {
      const text = `the request arrived at ${to}, and no reply came in ${formatDuration(timeoutMs)}`;
      throw new Failure(exitCodes.noAnswer, text);
    }
    throw messageFailure(error, {
      to,
      bytes: data.length,
      dropped: m.stats().dropped,
      report,
      timeoutMs,
      silence: "lost, or nobody there reads messages, or nothing there answers requests",
      reader: `datagram serve ${to.port} --message --exec <command>`,
      limitHint: "",
    });
  }
}
