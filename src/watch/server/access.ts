import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { networkInterfaces } from "node:os";

import { isWildcard } from "../../core/address/address.js";

/** Why a request is refused. */
export interface Refusal {
  readonly status: 400 | 401 | 403;
  readonly text: string;
}

const wrongHost: Refusal = {
  status: 403,
  text: "This server does not know itself by the name in the Host header.",
};
const wrongOrigin: Refusal = { status: 403, text: "This comes from a page of another origin." };
const noToken: Refusal = {
  status: 401,
  text: "Open the address with the token, as the command has printed it.",
};

/**
 * Decides who may use the server.
 *
 * - The Host header must be an address of this machine, `localhost` or the host that was asked for. A page of another site whose name
 *   suddenly resolves to this machine (DNS rebinding) sends its own name. The port is not compared, so that a tunnel can have another.
 * - WebSockets and uploads must have the origin of this very page.
 * - If there is a token, each request needs it: in the query of the first one, and from then on in a cookie that scripts cannot read
 *   and that other sites do not send.
 */
export class Access {
  readonly token: string | undefined;
  readonly #hosts: ReadonlySet<string>;
  readonly #anyAddress: boolean;
  #cookie = "";

  /** @param host the host that was asked for. */
  constructor(host: string, token: string | undefined) {
    this.token = token;
    this.#anyAddress = isWildcard(host);
    this.#hosts = new Set(["localhost", "127.0.0.1", "[::1]", hostText(host)]);
  }

  /** To be called with the port, when it is known: cookies of one host are shared by all its ports. */
  set port(port: number) {
    this.#cookie = `datagram-watch-${port}`;
  }

  /** Why a request is refused; `undefined` if it is not. */
  refusal(request: IncomingMessage, needsOrigin: boolean): Refusal | undefined {
    const { host } = request.headers;
    if (host === undefined || !this.#isOwn(host)) return wrongHost;
    const { origin } = request.headers;
    if (origin === undefined ? needsOrigin : origin !== `http://${host}`) return wrongOrigin;
    // A picture or a link of another site: the browser says so.
    const site = request.headers["sec-fetch-site"];
    const isNavigation =
      request.headers["sec-fetch-mode"] === "navigate" && request.headers["sec-fetch-dest"] === "document";
    if (site === "cross-site" && !(isNavigation && !needsOrigin)) return wrongOrigin;
    if (this.token === undefined) return undefined;
    return this.#isToken(cookieOf(request, this.#cookie)) ? undefined : noToken;
  }

  /** The cookie for a request whose query has the right token; `undefined` if it does not. */
  cookieFor(token: string | null): string | undefined {
    if (this.token === undefined || token === null || !this.#isToken(token)) return undefined;
    return `${this.#cookie}=${this.token}; Path=/; HttpOnly; SameSite=Strict`;
  }

  /** Compares in a time that does not depend on the bytes. */
  #isToken(text: string | undefined): boolean {
    if (text === undefined || this.token === undefined) return false;
    const hash = (value: string): Buffer => createHash("sha256").update(value).digest();
    return timingSafeEqual(hash(text), hash(this.token));
  }

  #isOwn(host: string): boolean {
    const name = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::\d{1,5})?$/i.exec(host)?.[1]?.toLowerCase();
    if (name === undefined) return false;
    if (this.#hosts.has(name)) return true;
    if (!this.#anyAddress) return false;
    // Addresses change, so they are read again.
    return Object.values(networkInterfaces()).some((all = []) =>
      all.some(({ address }) => hostText(address) === name),
    );
  }
}

/** A host as it is in a URL: without a scope, which URLs do not have. */
export function hostText(host: string): string {
  const name = host.replace(/%.*/, "").toLowerCase();
  return name.includes(":") ? `[${name}]` : name;
}

function cookieOf({ headers: { cookie = "" } }: IncomingMessage, name: string): string | undefined {
  for (const pair of cookie.split(";")) {
    const [key, value] = pair.trim().split("=", 2);
    if (key === name) return value;
  }
  return undefined;
}
