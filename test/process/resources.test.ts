/** Closed sockets return the memory and descriptors that they used. */

import { expect, test } from "vitest";

import { cleanEnding, overDrivers, prepared, start } from "./programs.js";

overDrivers((driver) => {
  test("a thousand sockets, opened and closed several times, leak no descriptor and no memory", async (context) => {
    const program = start(context, driver, "many-sockets", [], { node: ["--expose-gc"] });
    const { lines, ...ending } = await program.ended;
    expect(ending).toEqual(cleanEnding);
    const left = JSON.parse(lines[0]!) as Record<string, number>;
    expect(left).toMatchObject({ open: 1000, socketsLeft: 0, descriptorsMore: 0 });
    expect(left.kept).toBeLessThanOrEqual(1);
    expect(left.heapPerSocket).toBeLessThan(200);
    // Pages that the allocators keep are included.
    expect(left.residentPerSocket).toBeLessThan(2500);
  });

  test("a hundred thousand datagrams that were handed out leave no memory in use", async (context) => {
    // With more room for new objects, V8 commits more of it the longer a program runs: docs/performance.md.
    const node = ["--expose-gc", "--max-semi-space-size=4"];
    const { lines, ...ending } = await start(context, driver, "many-datagrams", [], { node }).ended;
    expect(ending).toEqual(cleanEnding);
    const more = JSON.parse(lines[0]!) as Record<string, number>;
    expect(more.received).toBe(160_000);
    expect(more.usedBytes).toBeLessThan(1 << 20);
    expect(more.residentBytes).toBeLessThan(16 << 20);
  });

  test("node:dns is loaded when the first name is looked up", async (context) => {
    const program = start(context, driver, "names");
    expect(await program.ended).toEqual({
      ...cleanEnding,
      lines: ["127.0.0.1: not loaded", "localhost: loaded"],
    });
  });

  test("a closed socket is garbage collected, however it was used", async (context) => {
    const program = start(context, driver, "collectable", [], { node: ["--expose-gc"] });
    expect(await program.ended).toEqual({ ...cleanEnding, lines: ["[]"] });
  });

  test("a process without free descriptors gets EMFILE, and works again when there are some", async (context) => {
    const program = start(context, driver, "exhausted", [], { within: prepared("ulimit -n 64") });
    const { lines, ...ending } = await program.ended;
    expect(ending).toEqual(cleanEnding);
    expect(lines.pop()).toBe("works again");
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(
      ["bind", "sendto", "connect"].map((call) => ({
        call,
        code: "EMFILE",
        errno: 24,
        message: expect.stringContaining("no descriptor left (EMFILE)") as unknown,
      })),
    );
  });
});
