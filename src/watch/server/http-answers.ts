import type { IncomingMessage, ServerResponse } from "node:http";

import { paths } from "../protocol.js";
import type { Access, Refusal } from "./access.js";
import { type PageFile, readPageFiles } from "./page-files.js";
import type { Recordings } from "./recordings.js";

/** The headers of every answer. Payloads are shown as text and as pictures of `blob:`, and nothing else is allowed. */
const headers = {
  "Content-Security-Policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cache-Control": "no-store",
} as const;

/** Answers the requests of HTTP: the files of the page, downloads and uploads of recordings, and the exchange of the token. */
export class HttpAnswers {
  readonly #files: ReadonlyMap<string, PageFile> = readPageFiles();
  readonly #access: Access;
  readonly #recordings: Recordings;

  constructor(access: Access, recordings: Recordings) {
    this.#access = access;
    this.#recordings = recordings;
  }

  /** Answers a request. */
  answer(request: IncomingMessage, response: ServerResponse): void {
    const url = urlOf(request);
    if (url.pathname === "/" && url.searchParams.has("token")) {
      this.#exchangeToken(request, response, url.searchParams.get("token"));
      return;
    }
    const isUpload = url.pathname === paths.uploads;
    const refusal = this.#access.refusal(request, isUpload);
    if (refusal) {
      answer(response, refusal);
      return;
    }
    if (isUpload) {
      void this.#onUpload(request, response, url.searchParams.get("name"));
      return;
    }
    if (url.pathname.startsWith(paths.recordings)) {
      void this.#onDownload(url.pathname.slice(paths.recordings.length), response);
      return;
    }
    const file = this.#files.get(url.pathname);
    if (!file) {
      answer(response, { status: 404, text: "There is nothing here." });
      return;
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      answer(response, { status: 405, text: "Only GET is possible here." });
      return;
    }
    const type = { "Content-Type": file.type, "Content-Length": file.bytes.length };
    response.writeHead(200, { ...headers, ...type });
    response.end(request.method === "HEAD" ? undefined : file.bytes);
  }

  /**
   * Sets the cookie for the token of the address, and opens the page without it. It is no redirect: after a redirect from a link of
   * another site the browser would not send the cookie (SameSite=Strict).
   */
  #exchangeToken(request: IncomingMessage, response: ServerResponse, token: string | null): void {
    const refusal = this.#access.refusal(request, false);
    const cookie = this.#access.cookieFor(token);
    if (refusal && (refusal.status !== 401 || cookie === undefined)) {
      answer(response, refusal);
      return;
    }
    const set = cookie === undefined ? {} : { "Set-Cookie": cookie };
    response.writeHead(200, { ...headers, ...set, Refresh: "0; url=/", "Content-Type": "text/plain" });
    response.end("The page opens.\n");
  }

  async #onUpload(request: IncomingMessage, response: ServerResponse, name: string | null): Promise<void> {
    if (request.method !== "POST") {
      answer(response, { status: 405, text: "Only POST is possible here." });
      return;
    }
    const result = await this.#recordings.upload(request, name, Date.now());
    if (typeof result === "string") {
      answer(response, { status: 400, text: result });
      return;
    }
    response.writeHead(201, { ...headers, "Content-Type": "application/json" });
    response.end(JSON.stringify(result));
  }

  async #onDownload(name: string, response: ServerResponse): Promise<void> {
    const isThere = await this.#recordings.download(name, response, headers).catch(() => false);
    if (!isThere) answer(response, { status: 404, text: "There is no such recording." });
  }
}

/** Answers with one sentence. */
function answer(
  response: ServerResponse,
  { status, text }: Refusal | { status: number; text: string },
): void {
  response.writeHead(status, {
    ...headers,
    "Content-Type": "text/plain; charset=utf-8",
    Connection: "close",
  });
  response.end(`${text}\n`);
}

/** The address that is asked for; that of nothing if it is none, such as `//`. */
export function urlOf({ url = "/" }: IncomingMessage): URL {
  const nothing = "http://localhost/nothing";
  try {
    return new URL(url.startsWith("/") ? `http://localhost${url}` : nothing);
  } catch {
    return new URL(nothing);
  }
}
