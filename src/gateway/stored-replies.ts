/** Answers to datagrams of a stream. They are published, and the gateway that saw the peer last sends them. */

import type { NatsConnection } from "@nats-io/transport-node";

import type { Endpoint } from "../core/address/address.js";
import { toBytes } from "../core/driver/payload.js";
import { OSError, type OSErrorDetails } from "../core/errors/errors.js";
import type { Replier } from "../core/receive/datagram.js";
import { parseResult } from "./answer-results.js";
import { forbiddenError } from "./nats-connection.js";
import { peerToken } from "./subjects.js";

/** A gateway says after `icmpWaitMs`, at most 10 s, what became of an answer, and may ask others before. */
const timeoutMs = 25_000;

/** Answers to datagrams that were sent to one port. */
export class StoredReplies implements Replier {
  readonly #connection: NatsConnection;
  /** The first tokens of subjects: those of the gateway, and its port. */
  readonly base: string;

  constructor(connection: NatsConnection, base: string) {
    this.#connection = connection;
    this.base = base;
  }

  /** Sends an answer, and resolves with its bytes when the kernel of the gateway has it. @throws (rejects) `OSError`. */
  async answer(data: Parameters<Replier["answer"]>[0], to: Endpoint): Promise<number> {
    const bytes = toBytes(data);
    const subject = `${this.base}.${peerToken(to)}.reply`;
    const result = parseResult(await this.#request(subject, bytes, to));
    if (!result) throw failure("EPROTO", "what came back is no result of a gateway", to);
    const { sent, code = "EIO", error, icmp } = result;
    if (sent !== true) throw failure(code, error ?? "the gateway does not know whether it was sent", to);
    if (icmp && icmp !== "unknown") {
      const from = icmp.from === undefined ? "" : `, from ${icmp.from}`;
      throw failure(icmp.code, `it was sent, and did not arrive: ${icmp.kind ?? "ICMP error"}${from}`, to);
    }
    return bytes.length;
  }

  async #request(subject: string, bytes: Uint8Array, to: Endpoint): Promise<Uint8Array> {
    if (this.#connection.isClosed()) throw failure("EBADF", "the reading of the stream has ended", to);
    try {
      return (await this.#connection.request(subject, bytes, { timeout: timeoutMs })).data;
    } catch (error) {
      throw forbiddenError("reply", error) ?? failure(...meaningOf(error), to, error);
    }
  }
}

/** The code and the words for an error of the client. */
function meaningOf(error: unknown): [string, string] {
  const { name, message } = (
    error instanceof Error && error.name === "RequestError" ? error.cause : error
  ) as Error;
  if (name === "NoResponders") return ["ENOENT", "no gateway runs that takes answers for this port"];
  if (name === "TimeoutError") return ["ETIMEDOUT", "no gateway said what became of the answer"];
  return ["ECONNRESET", message];
}

function failure(code: string, text: string, { host, port }: Endpoint, cause?: unknown): OSError {
  const details: OSErrorDetails = { syscall: "reply", address: host, port, text };
  return new OSError(code, cause === undefined ? details : { ...details, cause });
}
