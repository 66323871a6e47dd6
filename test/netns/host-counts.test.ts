/** Losses that no socket is told of: the host counts them, and the package, `listen` and `doctor` report them. */

import { expect, test } from "vitest";

import { Program as Command, bin } from "../cli/program.js";
import { Program, home, withDriver, whySkipped } from "../process/programs.js";
import { twoHosts } from "./network.js";

/** A program that opens a socket, and prints the counts of the host for each line that it reads. */
const watcher = `
import { socket, stats } from "${home}dist/index.js";
const s = socket();
await s.bind(["", 0]);
console.log(JSON.stringify(stats().host));
process.stdin.once("data", () => {
  console.log(JSON.stringify(stats().host));
  process.stdin.pause();
});
`;

// semantics: stats-host
test.skipIf(whySkipped("native") !== undefined)(
  "stats() of the package, listen and doctor report the fragments that a lossy sender made a host drop",
  async (t) => {
    const [from, to] = await twoHosts(t);
    // The last fragment of each datagram is lost.
    to.run(`nft -f - <<'RULES'
      table netdev dg {
        chain arriving {
          type filter hook ingress device "dg0b" priority 0
          ip frag-off & 0x2000 == 0 ip frag-off & 0x1fff != 0 drop
        }
      }\nRULES`);
    const [nsenter = "", ...within] = to.within;
    const listen = (...args: string[]) =>
      new Command(t, nsenter, [...within, process.execPath, bin, "listen", ...args]);
    const people = listen("10.77.0.2:9000");
    const programs = listen("10.77.0.2:9001", "--json");
    const node = [...to.within, process.execPath, "--input-type=module", "-e", watcher];
    const counting = new Program(t, node, withDriver("native"), "pipe");
    const before = JSON.parse(await counting.line()) as Record<string, number>;
    expect(Object.values(before)).toEqual([0, 0, 0, 0, 0, 0]);
    await Promise.all([people.line("stderr"), programs.line("stderr")]);

    from.run(`python3 -S - <<'PYTHON'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for count in range(230): s.sendto(bytes(14000), ("10.77.0.2", 9000))\nPYTHON`);

    counting.write("");
    const { IpReasmFails = 0, ...others } = JSON.parse(await counting.line()) as Record<string, number>;
    // 4 MiB have room for 201 of them, see reassembly.test.ts.
    expect(IpReasmFails).toBeGreaterThan(200);
    expect(IpReasmFails).toBeLessThan(350);
    expect(Object.values(others)).toEqual([0, 0, 0, 0, 0]);

    const [said, object] = await Promise.all([people.line("stderr", true), programs.line("stderr", true)]);
    expect(said).toMatch(
      new RegExp(
        `^this host, all sockets: reassembly of fragments failed \\d+ times over IPv4 \\(IpReasmFails\\): .* net\\.ipv4\\.ipfrag_high_thresh=`,
      ),
    );
    expect(JSON.parse(object)).toMatchObject({ event: "host", counters: ["IpReasmFails"] });
    for (const listener of [people, programs]) {
      const { stderr } = await listener.stop();
      expect(stderr).toContain(`\n  this host, all sockets, meanwhile: IpReasmFails ${IpReasmFails}\n`);
      expect(stderr).toContain("\n  dropped by the kernel: 0\n");
    }

    const doctor = (...args: string[]) =>
      new Program(t, [...to.within, process.execPath, bin, "doctor", ...args]).ended;
    const [shown, json] = await Promise.all([doctor(), doctor("--json")]);
    expect(shown.lines).toContain(
      `  IPv4 ${IpReasmFails}, IPv6 0: fragments that were not reassembled (IpReasmFails, Ip6ReasmFails)`,
    );
    expect((JSON.parse(json.lines[0] ?? "") as { host: object }).host).toMatchObject({ IpReasmFails });
  },
);
