/** `close()` during other calls: no rejection is unhandled, nothing crashes, and every call settles. */

import { expect, test } from "vitest";

import { cleanEnding, overDrivers, start } from "./programs.js";

overDrivers((driver) => {
  // semantics: close-anywhere
  test("close() during other calls settles every call, and leaves no unhandled rejection", async (context) => {
    const { lines, ...ending } = await start(context, driver, "closing").ended;
    // An unhandled rejection would have ended the process with exit code 1.
    expect(ending).toEqual(cleanEnding);
    expect(JSON.parse(lines[0]!)).toEqual({
      recvfrom: "ECANCELED ECANCELED",
      recv: "ECANCELED",
      recvmsg: "ECANCELED",
      recvMany: "ECANCELED",
      "recvfrom with a timeout": "ECANCELED ECANCELED",
      "recvfrom with a signal": "ECANCELED",
      iteration: "done",
      sendto: "done",
      "sendto by name": "ECANCELED",
      sendMany: "done",
      bind: "done",
      "bind by name": "ECANCELED",
      connect: "done",
      "connect by name": "ECANCELED",
      "sendto behind connect by name": "ECANCELED done",
      "close twice": "done done",
      "inside an iteration": "done",
      "inside a tap": "ECANCELED ECANCELED ECANCELED",
      "inside a listener": "done",
      "after that": "EBADF",
      dispose: "ECANCELED",
    });
  });
});
