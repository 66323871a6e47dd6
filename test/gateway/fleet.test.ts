/** What `docs/fleet.md` shows: the cluster of `examples/fleet`, the unit file and the image. */

import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { Program } from "../cli/program.js";
import { noServer } from "./nats.js";

const page = readFileSync("docs/fleet.md", "utf8");

describe.skipIf(noServer !== undefined)("three servers", () => {
  test("lose nothing that was acknowledged when each is killed once, and the account closes", async (t) => {
    const program = new Program(t, process.execPath, ["build/examples/fleet/cluster.js"]);
    const { code, stdout, stderr } = await program.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^received +4500 = 4500 stored \+ 0 shed \+ 0 refused \+ 0 in flight$/m);
    expect(stdout).toMatch(/^the stream +4500 datagrams, 4500 different$/m);
    // The page shows these lines, with other numbers of the machine.
    const [, shown = ""] = /cluster\.js\n([^`]*)```/.exec(page) ?? [];
    const shape = (text: string): string =>
      text
        .replaceAll(/a follower|the leader of the stream/g, "a server")
        .replaceAll(/127.*|sent again.*/g, "");
    expect(shape(stdout)).toBe(shape(shown));
  }, 300_000);
});

test.for([
  ["ini", "systemd/datagram-gateway.service"],
  ["dockerfile", "docker/gateway.Dockerfile"],
] as const)("the page shows the file for %s as it is", ([language, file]) => {
  const [, shown] = new RegExp(`\`\`\`${language}\\n([^\`]*)\`\`\``).exec(page) ?? [];
  expect(shown).toBe(readFileSync(`examples/${file}`, "utf8"));
});
