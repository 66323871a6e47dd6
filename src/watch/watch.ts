import { randomBytes } from "node:crypto";

import { wholeNumber, wrongType } from "../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../core/errors/fields.js";
import { Socket } from "../core/socket/socket.js";
import type { Address } from "../index.js";
import { Relay } from "../proxy/relay.js";
import { Model } from "./model/model.js";
import { PageServer } from "./server/server.js";
import { packageVersion } from "./package-root.js";
import { fileSources } from "./sources/file-source.js";
import { relaySources } from "./sources/relay-source.js";
import { SocketSource } from "./sources/socket-source.js";
import type { WatchedSource } from "./sources/source.js";

/**
 * What is watched: a socket, several sockets, a relay of `datagram/proxy`, or the path of a capture file, which is played with
 * its timing.
 */
export type WatchTarget = Socket | readonly Socket[] | Relay | string;

/** The options of `watch`. */
export interface WatchOptions {
  /** The TCP port of the page; 0 is a free one. @default 0 */
  readonly port?: number | undefined;
  /** The host that the page listens on. @default "127.0.0.1" */
  readonly host?: string | undefined;
  /**
   * A secret that the address of the page has, 16 to 256 characters of `A-Z a-z 0-9 - _`. `true` makes a random one.
   *
   * @default a random one, unless `host` is a loopback address
   */
  readonly token?: string | true | undefined;
  /** The folder for the recordings that pages start. It must exist. @default a temporary one, which is removed at the end */
  readonly records?: string | undefined;
  /** Ends the watching. */
  readonly signal?: AbortSignal | undefined;
}

const fields = fieldsOf<WatchOptions>({ port: true, host: true, token: true, records: true, signal: true });
const loopbacks = new Set(["127.0.0.1", "::1", "localhost"]);

/**
 * Starts a page that shows what sockets receive and send: peers, pictures, losses with their causes, and each datagram. The program
 * goes on to read the sockets.
 *
 * @returns when the page can be opened.
 * @throws (rejects) `OSError` such as `EADDRINUSE`; the errors of `read` of `datagram/capture` for a file; `TypeError` and
 *   `RangeError` for wrong options.
 */
export async function watch(target: WatchTarget, options: WatchOptions = {}): Promise<Watch> {
  if (typeof target === "string") return watchSources((model) => fileSources(target, model), options);
  if (target instanceof Relay) return watchSources((model) => relaySources(target, model), options);
  const sockets = Array.isArray(target) ? (target as readonly Socket[]) : [target as Socket];
  if (sockets.length === 0 || !sockets.every((each) => each instanceof Socket))
    throw wrongType("target", "a Socket, an array of them, a Relay, or the path of a capture file", target);
  return watchSources((model) => sockets.map((each) => new SocketSource(each, model)), options);
}

/** As `watch`, for sources of any kind. @param open makes the sources of a model, in the order of their numbers. */
export async function watchSources(
  open: (model: Model) => readonly WatchedSource[] | Promise<readonly WatchedSource[]>,
  options: WatchOptions,
): Promise<Watch> {
  const { host, port, token, records, signal } = checkOptions(options);
  signal?.throwIfAborted();
  const model = new Model();
  const sources = await open(model);
  try {
    const server = new PageServer(model, sources, { host, port, token, records, version: packageVersion() });
    const address = await server.listen();
    return new Watch(server, sources, address, { token, signal });
  } catch (error) {
    for (const source of sources) source.close();
    throw error;
  }
}

/** A running page, made by `watch()`. While it runs, it keeps the process alive. */
export class Watch implements AsyncDisposable {
  /** The address for a browser, with the token if there is one. */
  readonly url: string;
  /** The TCP address that the page listens on. */
  readonly address: Address;
  /** The secret of the page; `undefined` if it needs none. */
  readonly token: string | undefined;
  readonly #server: PageServer;
  readonly #sources: readonly WatchedSource[];
  readonly #signal: AbortSignal | undefined;
  #closing: Promise<void> | undefined;

  /** Made by `watch()`. */
  constructor(
    server: PageServer,
    sources: readonly WatchedSource[],
    address: Address,
    { token, signal }: Pick<Checked, "token" | "signal">,
  ) {
    this.#server = server;
    this.#sources = sources;
    this.address = address;
    this.token = token;
    this.url = server.url(address);
    this.#signal = signal;
    signal?.addEventListener("abort", this.#abort, { once: true });
    // It may have happened while the page was opened.
    if (signal?.aborted === true) this.#abort();
  }

  /** Ends the page. The sockets stay open. May be called twice. */
  close(): Promise<void> {
    this.#signal?.removeEventListener("abort", this.#abort);
    for (const source of this.#sources) source.close();
    return (this.#closing ??= this.#server.close());
  }

  /** Calls `close()`, and waits for it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #abort = (): void => void this.close();
}

interface Checked {
  readonly host: string;
  readonly port: number;
  readonly token: string | undefined;
  readonly records: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/** @throws `TypeError`, `RangeError`. */
function checkOptions(options: WatchOptions): Checked {
  if (typeof options !== "object" || (options as unknown) === null)
    throw wrongType("options", "an object", options);
  refuseUnknown(options, fields, "options: a field");
  const { port = 0, host = "127.0.0.1", token = loopbacks.has(host) ? undefined : true } = options;
  const { records, signal } = options;
  wholeNumber("port", port, 0, 65_535);
  if (typeof host !== "string" || host === "") throw wrongType("host", "the name or address of a host", host);
  if (records !== undefined && typeof records !== "string")
    throw wrongType("records", "the path of a folder", records);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw wrongType("signal", "an AbortSignal", signal);
  return {
    host,
    port,
    token: token === true ? randomBytes(16).toString("base64url") : checkToken(token),
    records,
    signal,
  };
}

function checkToken(token: string | undefined): string | undefined {
  if (token === undefined) return undefined;
  if (typeof token !== "string") throw wrongType("token", "a string or true", token);
  if (!/^[\w-]{16,256}$/.test(token))
    throw new RangeError("token must have 16 to 256 characters of A-Z a-z 0-9 - and _");
  return token;
}
