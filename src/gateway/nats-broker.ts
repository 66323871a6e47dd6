/** The connection to a server of NATS. Its client is imported when the first gateway starts, because it is an optional package. */

import { Buffer } from "node:buffer";

import type * as Client from "@nats-io/transport-node";
import type { Msg, NatsConnection } from "@nats-io/transport-node";

import { assert } from "../core/assert.js";
import { OSError } from "../core/errors/errors.js";
import { isStored, readAcknowledgement, storedStart } from "./acknowledgement.js";
import type { Broker, BrokerEvents } from "./broker.js";
import type { EncodedMessage } from "./message-encoder.js";
import { withoutUser } from "./server-url.js";

const packageName = "@nats-io/transport-node";
const connectTimeoutMs = 5000;
/** Bytes of messages that are passed to the client at once. */
const batchBytes = 65_536;

/** Connects to a server. @throws `OSError` `ECONNREFUSED`; `Error` `ERR_MODULE_NOT_FOUND`. */
export async function connectNats(
  servers: readonly string[],
  options: object,
): Promise<{ readonly connection: NatsConnection; readonly client: typeof Client }> {
  const client = await loadClient();
  // The client does not read them from the URL. checkOptions() has seen that there is one user at most.
  const urls = servers.map((server) => new URL(server));
  const { username, password } = urls.find((url) => url.username !== "") ?? { username: "", password: "" };
  const user =
    username === "" ? {} : { user: decodeURIComponent(username), pass: decodeURIComponent(password) };
  const hosts = servers.map((server) => withoutUser(server));
  try {
    const connection = await client.connect({
      servers: hosts,
      name: "datagram gateway",
      ...user,
      // If the server dies after its first line and before its answer to CONNECT, the client notices it only by this timeout.
      timeout: connectTimeoutMs,
      // A connection that hangs ends after 30 s at most: until then, what is sent again gathers in the memory of its socket.
      pingInterval: 10_000,
      maxPingOut: 2,
      // With this, the client refuses a server without TLS, and sends no password to it.
      ...(servers.some((server) => server.startsWith("tls:")) ? { tls: {} } : {}),
      ...options,
      // A gateway waits for its server as long as it runs.
      reconnect: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
    });
    return { connection, client };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new OSError("ECONNREFUSED", {
      syscall: "gateway",
      text: `${hosts.join(", ")}: ${why}`,
      cause: error,
    });
  }
}

async function loadClient(): Promise<typeof Client> {
  try {
    return await import("@nats-io/transport-node");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    const missing = new Error(`the gateway needs the client of NATS: npm install ${packageName}`, {
      cause: error,
    });
    throw Object.assign(missing, { code: "ERR_MODULE_NOT_FOUND" });
  }
}

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

  /** @param start of the subjects of datagrams: `<prefix>.<port>`. */
  constructor(
    { connection, client }: Awaited<ReturnType<typeof connectNats>>,
    stream: string,
    start: string,
  ) {
    const { protocol } = connection as unknown as { readonly protocol?: Partial<Protocol> };
    assert(protocol?.sendCommand !== undefined, `${packageName} sends bytes in a way that is known`);
    this.#protocol = protocol as Protocol;
    this.#storedStart = storedStart(stream);
    this.#connection = connection;
    this.#stream = stream;
    this.#start = `${start}.`;
    this.#inbox = client.createInbox();
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
          if (error) throw error;
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
      const { operation, subject } = status.error as { operation?: string; subject?: string };
      // The outbox looks at all datagrams in flight, and others of this connection publish too: answers, to subjects of strangers.
      if (operation === "publish" && subject?.startsWith(this.#start) === true) events.forbidden(subject);
    }
  }

  #fail(error: Error): void {
    this.#events?.failed(error);
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
