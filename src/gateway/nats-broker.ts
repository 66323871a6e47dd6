import { Buffer } from "node:buffer";

import type { Msg, NatsConnection } from "@nats-io/transport-node";

import { assert } from "../core/assert.js";
import { isStored, readAcknowledgement, storedStart } from "./acknowledgement.js";
import type { Broker, BrokerEvents } from "./broker.js";
import type { EncodedMessage } from "./message-encoder.js";
import { type NatsLink, clientPackage, forbiddenError } from "./nats-connection.js";

/** Bytes of messages that are passed to the client at once. */
const batchBytes = 65_536;

/** The part of the client that takes the bytes of several messages at once. Its types do not show it. */
interface Protocol {
  sendCommand(bytes: Uint8Array): void;
}

/**
 * Publishes messages over core NATS, each with a reply subject of its own below one inbox: JetStream acknowledges them there.
 * `publish` of the JetStream client makes two `Error` objects, a promise and a timer for each message.
 */
export class NatsBroker implements Broker {
  readonly #connection: NatsConnection;
  readonly #stream: string;
  readonly #inbox: string;
  /** The subjects of datagrams begin with it. */
  readonly #start: string;
  readonly #protocol: Protocol;
  /** An acknowledgement of this stream begins with it. */
  readonly #storedStart: Buffer;
  /** Messages that were published in this turn of the event loop. */
  #batch: Buffer = Buffer.alloc(0);
  #batchBytes = 0;
  #events: BrokerEvents | undefined;
  /** Whether somebody could not be told of an answer. */
  #isUntold = false;

  /** @param start of the subjects of datagrams: `<prefix>.<port>`. */
  constructor({ connection, newInbox }: NatsLink, stream: string, start: string) {
    const { protocol } = connection as unknown as { readonly protocol?: Partial<Protocol> };
    assert(protocol?.sendCommand !== undefined, `${clientPackage} sends bytes in a way that is known`);
    this.#protocol = protocol as Protocol;
    this.#storedStart = storedStart(stream);
    this.#connection = connection;
    this.#stream = stream;
    this.#start = `${start}.`;
    this.#inbox = newInbox();
  }

  /** The largest message that the server takes. */
  get maxMessageBytes(): number {
    return this.#connection.info?.max_payload ?? Infinity;
  }

  /** Begins to report events. */
  listen(events: BrokerEvents): void {
    this.#events = events;
    this.#connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        try {
          if (error) throw forbiddenError("gateway", error) ?? error;
          this.#acknowledge(message, events);
        } catch (failure) {
          // The client would print it, and read no more.
          this.#fail(failure as Error);
        }
      },
    });
    void this.#watch(events);
    void this.#connection.closed().then((error) => {
      this.#fail(error instanceof Error ? error : new Error("the connection to the server was closed"));
    });
  }

  publish(number: number, { subject, bytes, headersBytes }: EncodedMessage): void {
    const command = `HPUB ${subject} ${this.#inbox}.${number} ${headersBytes} ${bytes.length}\r\n`;
    const size = command.length + bytes.length + 2;
    if (this.#batchBytes + size > this.#batch.length) {
      this.#flush();
      this.#batch = Buffer.allocUnsafeSlow(Math.max(batchBytes, size));
    }
    if (this.#batchBytes === 0) queueMicrotask(() => this.#flush());
    // Subjects, numbers and the inbox are ASCII.
    const batch = this.#batch;
    let at = this.#batchBytes;
    at += batch.write(command, at, "latin1");
    batch.set(bytes, at);
    at += bytes.length;
    batch[at] = 0x0d;
    batch[at + 1] = 0x0a;
    this.#batchBytes = at + 2;
  }

  probe(answered: () => void): void {
    this.#flush();
    // The client rejects it if the connection is lost, and reports that as a status too.
    this.#connection.flush().then(answered, () => undefined);
  }

  async close(): Promise<void> {
    this.#events = undefined;
    await this.#connection.close();
  }

  /** Passes the messages to the client, which does not copy them. */
  #flush(): void {
    const bytes = this.#batch.subarray(0, this.#batchBytes);
    this.#batch = this.#batch.subarray(this.#batchBytes);
    this.#batchBytes = 0;
    // A closed connection is reported by closed().
    if (bytes.length > 0 && !this.#connection.isClosed()) this.#protocol.sendCommand(bytes);
  }

  #acknowledge(message: Msg, events: BrokerEvents): void {
    if (this.#events === undefined) return;
    const { subject, data } = message;
    const number = Number(subject.slice(this.#inbox.length + 1));
    if (data.length === 0) {
      // The server itself answers if nobody is subscribed to the subject.
      if (statusOf(message) === 503) events.noStream(number);
      return;
    }
    if (isStored(data, this.#storedStart)) {
      events.stored(number, false);
      return;
    }
    // Other answers change nothing: the server's own one can still come.
    const acknowledgement = readAcknowledgement(data, this.#stream);
    if (acknowledgement?.kind === "stored") events.stored(number, acknowledgement.isDuplicate);
    else if (acknowledgement) events.refused(number, acknowledgement.reason);
  }

  async #watch(events: BrokerEvents): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (this.#events === undefined) return;
      if (status.type === "disconnect") events.connected(false);
      if (status.type === "reconnect") events.connected(true);
      if (status.type !== "error") continue;
      const { operation, subject = "" } = status.error as { operation?: string; subject?: string };
      if (operation !== "publish") continue;
      // Without their questions, gateways of one port do not find the one that saw a peer last.
      if (subject.startsWith(`${this.#start}gateways.`)) this.#fail(forbiddenError("gateway", status.error));
      else if (subject.startsWith(this.#start)) events.forbidden(subject);
      else this.#warnUntold();
    }
  }

  /** Results of answers are published to subjects of strangers. */
  #warnUntold(): void {
    if (this.#isUntold) return;
    this.#isUntold = true;
    const text = "the server does not let the gateway publish to the reply subject of an answer";
    process.emitWarning(`${text}: its requester is not told; allow _INBOX.> or allow_responses`, {
      type: "DatagramWarning",
      code: "ANSWER_UNTOLD",
    });
  }

  #fail(error: Error | undefined): void {
    if (error) this.#events?.failed(error);
  }
}

/** The status of a message without data. The client throws for headers with characters that it does not know. */
export function statusOf(message: Msg): number | undefined {
  try {
    return message.headers?.code;
  } catch {
    return undefined;
  }
}
