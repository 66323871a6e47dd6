/** Datagrams that a socket can never receive, if the program does not listen to "warning". */

import { expect, test } from "vitest";

import { overDrivers, start } from "./programs.js";

overDrivers((driver) => {
  // semantics: warning-process, no-such-event
  test("a warning without a listener is a process warning, once for each kind", async (context) => {
    const { code, signal, lines, stderr } = await start(context, driver, "warnings").ended;
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    expect(lines).toEqual([
      'DatagramWarning JOINED_BUT_BOUND: this socket is bound to 127.0.0.1 and receives nothing that is sent to 239.255.7.7: bind it to "" or to 239.255.7.7',
      "DatagramWarning JOINED_BUT_CONNECTED: this socket is connected, and receives from its peer only, nothing sent to 239.255.7.7: join the group on another socket",
      "heard here alone: JOINED_BUT_BOUND",
      'DatagramWarning NO_SUCH_EVENT: a socket has no event "message", and this listener is never called: read with "for await (const datagram of s)" or recvfrom(), which also keep the process running. docs/recipes/from-node-dgram.md of this package compares them with node:dgram',
    ]);
    expect(stderr).toMatch(/DatagramWarning: this socket is bound to 127\.0\.0\.1/);
  });
});
