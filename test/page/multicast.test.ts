/** The programs of docs/multicast.md equal those in examples/ and print the shown output, and the shown errors occur. */

import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { type Host, host, join, kernelCount, needNetworks } from "../netns/network.js";
import { Program, cleanEnding, home, whySkipped, withDriver } from "../process/programs.js";

const document = readFileSync(`${home}docs/multicast.md`, "utf8");
const programs = [...document.matchAll(/\[`examples\/(\S+)\.ts`\].*?```ts\n(.*?)```/gs)];
const output = /The first program prints:\n\n```text\n(.*?)\n```/s.exec(document)?.[1] ?? "";

test("both programs equal those of examples/multicast", () => {
  expect(programs.map(([, name]) => name)).toEqual(["multicast/hear", "multicast/tell"]);
  for (const [, name, code] of programs)
    expect(readFileSync(`${home}examples/${name}.ts`, "utf8")).toBe(code);
});

test.skipIf(whySkipped("native") !== undefined)(
  "a group is received on the right interface, as shown; on the wrong one, and with rp_filter, it is not",
  async (t) => {
    needNetworks(t);
    const [own, ...senders] = await Promise.all([host(t), host(t), host(t)]);
    for (const [number, sender] of senders.entries()) join(own, sender, number);
    const [wrong, right] = senders;
    const env = withDriver("native");
    const program = (at: Host, name: string, args: readonly string[]): Program =>
      new Program(
        t,
        [...at.within, process.execPath, `${home}build/examples/multicast/${name}.js`, ...args],
        env,
      );
    const tell = async (at: Host, end: string, text: string, group = "239.7.7.7"): Promise<void> =>
      expect(await program(at, "tell", [group, "9420", end, text]).ended).toMatchObject(cleanEnding);

    const hearing = program(own, "hear", ["239.7.7.7", "9420", "dg1a"]);
    const printed = [await hearing.line()];
    expect(own.run("ip maddr show dev dg1a")).toContain("239.7.7.7");
    expect(own.run("ip maddr show dev dg0a")).not.toContain("239.7.7.7");
    expect(own.run("ss -uan 'sport = :9420'")).toContain("239.7.7.7:9420");
    await tell(wrong, "dg0b", "by the wrong interface");
    await tell(right, "dg1b", "hello");
    printed.push(await hearing.line());
    expect(printed.join("\n").replaceAll("dg1a", "eth1")).toBe(output);

    // The same with the commands that the page shows.
    const [, listen = "", send = ""] =
      /```sh\ndatagram (listen .*)\ndatagram (send .*)\n```/.exec(document) ?? [];
    const command = (at: Host, words: string, end: string): Program => {
      const args = words.split(" ").map((word) => (word.startsWith("eth") ? end : word));
      return new Program(t, [...at.within, process.execPath, `${home}dist/cli/main.js`, ...args], env);
    };
    const listening = command(own, `${listen} --count 1 --timeout 20s`, "dg1a");
    await expect
      .poll(() => own.run("ss -uan"), { timeout: 60_000 })
      .toMatch(/239\.7\.7\.7(?:%dg1a)?:9420.*\n.*239\.7\.7\.7(?:%dg1a)?:9420/s);
    expect((await command(right, send, "dg1b").ended).code).toBe(0);
    expect((await listening.ended).lines.join("\n")).toContain('"hello"');
    expect(await hearing.line()).toBe("10.77.1.2 by dg1a, TTL 8: hello");

    // No route of this host leads to the sender's address.
    right.run("ip -4 addr flush dev dg1b; ip addr add 192.0.2.9/24 dev dg1b");
    for (const mode of [1, 2]) {
      own.run(`echo ${mode} > /proc/sys/net/ipv4/conf/dg1a/rp_filter`);
      const before = kernelCount(own, "TcpExtIPReversePathFilter");
      await tell(right, "dg1b", "from nowhere");
      expect(kernelCount(own, "TcpExtIPReversePathFilter")).toBe(before + 1);
    }
    own.run(
      "echo 0 > /proc/sys/net/ipv4/conf/dg1a/rp_filter; echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter",
    );
    await tell(right, "dg1b", "let in");
    expect(await hearing.line()).toBe("192.0.2.9 by dg1a, TTL 8: let in");

    const hearing6 = program(own, "hear", ["ff05::7:7", "9420", "dg1a"]);
    expect(await hearing6.line()).toBe("hears [ff05::7:7]:9420 on dg1a");
    await tell(right, "dg1b", "hello", "ff05::7:7");
    expect(await hearing6.line()).toMatch(/^fd00:77:1::2 by dg1a, TTL 8: hello$/);
  },
);
