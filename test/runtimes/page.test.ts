/** The programs of the page over the fallback driver, under Bun and Deno, with Python and Node at the other end. */

import { describe, test } from "vitest";

import { acknowledgement, noReply, pingPong, truncation } from "../page/exchanges.js";
import { python, runtimeSide, shareServers, typescriptSides } from "../page/matrix.js";
import { runtimes } from "./runtimes.js";

const [native, dgram] = typescriptSides;
const node = native.skipped === undefined ? native : dgram;

describe.each(runtimes)("$name", (runtime) => {
  const side = runtimeSide(runtime);
  for (const [what, exchange] of [
    ["ping is answered with pong", pingPong],
    ["a request is acknowledged", acknowledgement],
    ["a datagram is cut at the size that recvfrom names", truncation],
  ] as const) {
    for (const [client, server] of [
      [side, python],
      [python, side],
      [side, node],
      [node, side],
    ] as const) {
      // No server is shared: under Bun, a server that answered a client that had ended fails at its next answer.
      test(`${what}: ${client.name} to ${server.name}`, (context) =>
        exchange(client, server, context, shareServers(context)));
    }
  }
  test("a request without an answer ends after 2 s", (context) =>
    noReply(side, python, context, shareServers(context)));
});
