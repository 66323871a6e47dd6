/** Sockets that are called by name, in this process or another, and whose results are plain data. */

import { Buffer } from "node:buffer";
import { once } from "node:events";

import {
  AF_INET,
  AF_INET6,
  type Datagram,
  SOCK_DGRAM,
  type Socket,
  type SocketEvents,
  type SocketOptions,
  type socket,
} from "datagram";

/** The methods that a call can name: those of a socket, and those of `Player`. */
export const methods = [
  "bind",
  "connect",
  "send",
  "sendto",
  "sendmsg",
  "sendMany",
  "recvfrom",
  "recvmsg",
  "getsockname",
  "getpeername",
  "setsockopt",
  "getsockopt",
  "addMembership",
  "dropMembership",
  "pathMtu",
  "maxPayload",
  "reply",
  "event",
  "counts",
  "close",
] as const;

/** One call. A payload of that many bytes is written `{ bytes: 3000 }`. */
export interface Call {
  /** The name of the socket. The method `"open"` makes it. */
  readonly name: string;
  readonly method: (typeof methods)[number] | "open";
  readonly args: readonly unknown[];
}

/** The longest time that a receive call, or the wait for an event, takes by default, in milliseconds. */
const patienceMs = 3000;
/** From this port on, the system chooses ports (`net.ipv4.ip_local_port_range`). */
const firstEphemeral = 32_768;

interface Told {
  readonly socket: Socket;
  readonly events: Record<keyof SocketEvents, unknown[]>;
}

/** The sockets of one host. */
export class Player {
  readonly #open: typeof socket;
  readonly #sockets = new Map<string, Told>();

  constructor(open: typeof socket) {
    this.#open = open;
  }

  /** Does the call, and returns its result. Never rejects. */
  async do({ name, method, args }: Call): Promise<unknown> {
    try {
      if (method === "open") {
        this.#make(name, ...(args as [4 | 6, SocketOptions]));
        return "opened";
      }
      const result = await this.#play(this.#sockets.get(name) as Told, method, args.map(payload));
      return result === undefined ? "done" : plain(result);
    } catch (error) {
      return { error: plain({ ...(error as object) }) };
    }
  }

  #make(name: string, version: 4 | 6, options: SocketOptions): void {
    const s = this.#open(version === 4 ? AF_INET : AF_INET6, SOCK_DGRAM, options);
    const events: Told["events"] = { unreachable: [], pathMtu: [], dropped: [], truncated: [], warning: [] };
    for (const [event, list] of Object.entries(events)) {
      s.on(event as keyof SocketEvents, (message: unknown) => list.push(message));
    }
    this.#sockets.set(name, { socket: s, events });
  }

  async #play(
    { socket: s, events }: Told,
    method: Call["method"],
    args: readonly unknown[],
  ): Promise<unknown> {
    switch (method) {
      case "recvmsg":
        return s.recvmsg({ timeoutMs: patienceMs, ...(args[0] as object | undefined) });
      case "recvfrom":
        return s.recvfrom(args[0] as number, { timeoutMs: patienceMs });
      case "reply": {
        const datagram = await s.recvmsg({ timeoutMs: patienceMs });
        await datagram.reply(args[0] as string);
        return datagram;
      }
      case "event": {
        const [event, timeoutMs = patienceMs] = args as [keyof SocketEvents, number?];
        const list = events[event];
        if (list.length === 0) await once(s, event, { signal: AbortSignal.timeout(timeoutMs) });
        return list.shift();
      }
      case "counts": {
        const { sent, received, truncated, unreachable, tooBig, fragmented, sendErrors } = s.stats();
        const untold = Object.values(events).flat().length;
        return { sent, received, truncated, unreachable, tooBig, fragmented, sendErrors, untold };
      }
      default:
        return (s[method as keyof Socket] as (...args: readonly unknown[]) => unknown)(...args);
    }
  }
}

function payload(arg: unknown): unknown {
  if (typeof arg !== "object" || arg === null) return arg;
  if ("bytes" in arg) return Buffer.alloc(arg.bytes as number, "x");
  return "data" in arg ? { ...arg, data: payload(arg.data) } : arg;
}

/** The value as JSON can carry it, without parts that differ between runs: times, and ports that the system chose. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint" || typeof value === "function") return undefined;
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) {
    return value.length > 64 ? `${value.length} bytes` : Buffer.from(value).toString();
  }
  if (Array.isArray(value)) return value.map(plain);
  if ("host" in value && "port" in value) return [value.host, portOf(value.port as number)];
  const fields = "reply" in value ? described(value as Datagram) : value;
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([key]) => !["errno", "message", "stack", "name"].includes(key))
      .map(([key, each]) => [key, key === "port" ? portOf(each as number) : plain(each)]),
  );
}

function described(datagram: Datagram): object {
  const { data, source, size, truncated, destination, interface: by, ttl, tos, ecn } = datagram;
  return { data, source, size, truncated, destination, by, ttl, tos, ecn };
}

function portOf(port: number): number | "ephemeral" {
  return port >= firstEphemeral ? "ephemeral" : port;
}
