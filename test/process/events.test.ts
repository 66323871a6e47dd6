/** What the program's own listeners receive, and what happens to the errors that they throw. */

import { expect, test } from "vitest";

import { cleanEnding, inOpenNetwork, needNamespaces, overDrivers, start, whySkipped } from "./programs.js";

overDrivers((driver) => {
  // semantics: listener-throws
  test("an error thrown by a tap or a listener is an uncaught exception, and the socket still works", async (context) => {
    const { lines, ...ending } = await start(context, driver, "listeners", ["caught"]).ended;
    expect(ending).toEqual(cleanEnding);
    expect(lines.filter((line) => line.startsWith("uncaught"))).toEqual([
      "uncaught: a tap of what goes out",
      "uncaught: a tap of what goes in",
      "uncaught: a listener",
    ]);
    expect(lines.filter((line) => !line.startsWith("uncaught"))).toEqual([
      "tapped: hello",
      "cut: hell",
      "iterated: again",
    ]);
  });

  test("an error thrown by a tap ends a program that does not catch it, with this error", async (context) => {
    const { code, stderr, lines } = await start(context, driver, "listeners").ended;
    expect({ code, lines }).toEqual({ code: 1, lines: [] });
    expect(stderr).toContain("Error: a tap of what goes out");
  });

  // semantics: diagnostics
  test("every event is published on a diagnostics channel, with its socket", async (context) => {
    const { lines, ...ending } = await start(context, driver, "diagnostics").ended;
    expect(ending).toEqual(cleanEnding);
    // A call that finds the ICMP error without waiting fails before the event.
    expect(lines.sort()).toEqual([
      "dropped receiver 2 of 10 bytes",
      "recvfrom ECONNREFUSED",
      "truncated receiver hell of 5",
      "unreachable client ECONNREFUSED 127.0.0.1",
    ]);
  });
});

const why = whySkipped("native");

// semantics: path-mtu-event, diagnostics
test.skipIf(why !== undefined)(
  "with the native driver all four events have all their fields, and the channels have the same messages",
  async (context) => {
    needNamespaces(context);
    expect(await start(context, "native", "socket-events", [], { within: inOpenNetwork }).ended).toEqual({
      ...cleanEnding,
      lines: [
        "truncated hell of 5",
        "channel: truncated",
        "dropped by receiveBuffer: some, undefined",
        "channel: dropped",
        "unreachable ECONNREFUSED: port unreachable, 127.0.0.1 of 127.0.0.1",
        "channel: unreachable",
        // The route of this host changed. No router reports that: the event follows the call that noticed the change.
        "65535 65507 then 1500 1472",
        "pathMtu 127.0.0.1 1500 1472 undefined",
        "channel: pathMtu",
        "in fragments: 1",
      ],
    });
  },
);
