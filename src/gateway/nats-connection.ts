/** Connections to a server of NATS. The client is imported when the first one is made, because it is an optional package. */

import type * as Client from "@nats-io/transport-node";
import type { NatsConnection } from "@nats-io/transport-node";

import { OSError } from "../core/errors/errors.js";
import { withoutUser } from "./server-url.js";

/** The name of the client's package. */
export const clientPackage = "@nats-io/transport-node";
const connectTimeoutMs = 5000;

/** The calls of this package that use a server. Errors have its name as `syscall`. */
export type NatsCall = "gateway" | "consume" | "reply";

/** A connection, and subjects for what comes back over it. */
export interface NatsLink {
  readonly connection: NatsConnection;
  /** Returns a subject that nobody else has, below `inboxPrefix` of the client's options. */
  readonly newInbox: () => string;
}

/**
 * Connects to a server.
 *
 * @param call the call of the program, for errors.
 * @param options for the client.
 * @throws `OSError` `ECONNREFUSED`; `Error` `ERR_MODULE_NOT_FOUND`.
 */
export async function connectNats(
  call: NatsCall,
  servers: readonly string[],
  options: object,
): Promise<NatsLink> {
  const client = await loadClient(call);
  // The client does not read them from the URL. checkOptions() has seen that there is one user at most.
  const urls = servers.map((server) => new URL(server));
  const { username, password } = urls.find((url) => url.username !== "") ?? { username: "", password: "" };
  const user =
    username === "" ? {} : { user: decodeURIComponent(username), pass: decodeURIComponent(password) };
  const hosts = servers.map((server) => withoutUser(server));
  try {
    const connection = await client.connect({
      servers: hosts,
      name: `datagram ${call}`,
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
    const { inboxPrefix } = options as { readonly inboxPrefix?: string };
    return { connection, newInbox: () => client.createInbox(inboxPrefix) };
  } catch (error) {
    const why = failureText(error);
    throw new OSError("ECONNREFUSED", {
      syscall: call,
      text: `${hosts.join(", ")}: ${why}`,
      cause: error,
    });
  }
}

/** Why there is no connection. */
function failureText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "AuthorizationError")
    return "wrong user or password (give them as nats://user:password@host)";
  const { code = "" } = error as NodeJS.ErrnoException;
  return ["ENOTFOUND", "EAI_AGAIN"].includes(code)
    ? "the name of the host cannot be resolved"
    : error.message;
}

async function loadClient(call: NatsCall): Promise<typeof Client> {
  try {
    return await import("@nats-io/transport-node");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    const missing = new Error(`${call} needs the client of NATS: npm install ${clientPackage}`, {
      cause: error,
    });
    throw Object.assign(missing, { code: "ERR_MODULE_NOT_FOUND" });
  }
}

/** The error for what the server does not let this user do; `undefined` for any other error. */
export function forbiddenError(call: NatsCall, error: unknown): OSError | undefined {
  // The client may wrap the error of a request.
  const cause = error instanceof Error && error.name === "RequestError" ? error.cause : error;
  if (!(cause instanceof Error) || cause.name !== "PermissionViolationError") return undefined;
  const { operation, subject } = cause as Error & { readonly operation?: string; readonly subject?: string };
  const does = operation === "publish" ? "publish" : "subscribe";
  const text = `the server does not let this user ${does} to ${subject}: allow it in its permissions`;
  return new OSError("EACCES", { syscall: call, text, cause });
}
