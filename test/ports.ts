/** Ports without a socket, for tests that run at the same time. */

import { randomInt } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";

/** Below the ports that Linux gives to sockets without a chosen port (`net.ipv4.ip_local_port_range`). */
const range = [20_000, 32_000] as const;

/**
 * A UDP port that no socket has. Until this process ends, no other test on this host gets this port from this function, because
 * a TCP server has the same port until then.
 */
export function unusedPort(): number {
  for (let tries = 0; tries < 100; tries++) {
    const port = randomInt(...range);
    // Without a host, the call binds before it returns.
    const server = createServer()
      .on("error", () => undefined)
      .listen(port)
      .unref();
    if (server.listening && !hasSocket(port)) return port;
  }
  throw new Error("no port is free");
}

/** Whether a UDP socket of this host has the port. Always false on systems other than Linux. */
export function hasSocket(port: number): boolean {
  const entry = new RegExp(`^ *\\d+: [0-9A-F]+:${port.toString(16).toUpperCase().padStart(4, "0")} `, "m");
  const lists = ["/proc/net/udp", "/proc/net/udp6"].filter((path) => existsSync(path));
  return lists.some((path) => entry.test(readFileSync(path, "latin1")));
}
