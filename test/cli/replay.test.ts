import { readFileSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

import { socket } from "datagram";

import { answerAll, bound, client, relayTo, take } from "../proxy/network.js";
import { folderOf, ipPacket, pcapng, saved } from "../capture/files.js";
import { commandsInOneProcess } from "./one-process.js";
import { datagram, stayOpen } from "./program.js";

const runHere = commandsInOneProcess();
const packets = [ipPacket("one"), ipPacket("two", "10.0.0.3"), ipPacket("three", "10.0.0.1", "10.0.0.4")];
const late = /\n {2}half of them at most [\d.]+ ms late, 99% [\d.]+ ms, all [\d.]+ ms; \w+ later than 1 ms\n/;

/** A receiver on this machine, as an argument. */
async function receiving(): Promise<
  { to: string; texts: (count: number) => Promise<string[]> } & AsyncDisposable
> {
  const s = socket();
  await s.bind(["127.0.0.1", 0]);
  return {
    to: String(s.getsockname()),
    texts: async (count) => {
      const texts: string[] = [];
      while (texts.length < count) texts.push(String(await s.recv(100)));
      return texts;
    },
    [Symbol.asyncDispose]: () => s.close(),
  };
}

test("sends all datagrams of a file, and says how late they were", async (t) => {
  const file = saved(folderOf(t), "file.pcapng", pcapng(packets));
  await using at = await receiving();
  const { code, stdout, stderr } = await runHere(["replay", file, "--to", at.to]);
  expect([code, stdout]).toEqual([0, ""]);
  expect(stderr).toMatch(/^sent 3 datagrams, 11 bytes in [\d.]+ m?s\n/);
  expect(stderr).toMatch(late);
  expect(await at.texts(3)).toEqual(["one", "two", "three"]);
  const twice = await runHere([
    "replay",
    file,
    "--to",
    at.to,
    "--loop",
    "2",
    "--speed",
    "max",
    "--segmentation",
  ]);
  expect(twice).toMatchObject({ code: 0, stdout: "" });
  expect(twice.stderr).toMatch(/^sent 6 datagrams, 22 bytes in [\d.]+ m?s\n$/);
  expect(await at.texts(6)).toHaveLength(6);
});

test("--from and --to choose the datagrams, and the summary counts the others", async (t) => {
  const file = saved(folderOf(t), "file.pcapng", pcapng(packets));
  await using at = await receiving();
  const chosen = ["--from", "10.0.0.1", "--to", `10.0.0.2:9000=${at.to}`];
  const { code, stderr } = await runHere(["replay", file, ...chosen]);
  expect(code).toBe(0);
  expect(stderr).toContain("sent 1 datagram, 3 bytes");
  expect(stderr).toContain("  not sent, left out by the options: 1\n");
  expect(stderr).toContain("  not sent, sent to none of the recorded addresses of --to: 1\n");
  expect(await at.texts(1)).toEqual(["one"]);
  const none = await runHere(["replay", file, "--to", at.to, "--direction", "in"]);
  expect([none.code, none.stderr.split("\n").at(-2)]).toEqual([1, "datagram replay: nothing was sent"]);
});

test("of the file of a relay, what clients sent is sent, before the faults, or what --recorded-by says", async (t) => {
  const file = join(folderOf(t), "relay.pcapng");
  const target = await bound(t);
  void answerAll(target).catch(() => undefined);
  const relay = await relayTo(t, target, {
    ...{ record: file, rules: [{ action: "drop", direction: "up", numbers: "1" }] },
  });
  const s = await client(t, relay);
  await s.send("dropped");
  await s.send("passes");
  await take(s, 1);
  await relay.close();
  await using at = await receiving();
  const replayed = async (count: number, ...options: string[]): Promise<string[]> => {
    const { code, stderr } = await runHere(["replay", file, "--to", at.to, "--speed", "max", ...options]);
    expect(code).toBe(0);
    expect(stderr.includes("the file is of a relay: what its clients sent is sent, before the faults")).toBe(
      options.length === 0,
    );
    expect(stderr).toContain(`sent ${count} datagram`);
    return at.texts(count);
  };
  expect(await replayed(2)).toEqual(["dropped", "passes"]);
  expect(await replayed(1, "--recorded-by", "targets", "--direction", "out")).toEqual(["passes"]);
  expect(
    await replayed(3, "--recorded-by", "targets", "--recorded-by", "clients", "--direction", "in"),
  ).toHaveLength(3);
  const eth0 = await runHere(["replay", file, "--to", at.to, "--recorded-by", "eth0"]);
  expect(eth0.stderr).toContain(
    'warning: no datagram was recorded by "eth0": the file has "clients", "targets"\n',
  );
  expect([eth0.code, eth0.stderr.split("\n").at(-2)]).toEqual([1, "datagram replay: nothing was sent"]);
  // Another recording, then that of the relay.
  const both = saved(folderOf(t), "both.pcapng", Buffer.concat([pcapng(packets), readFileSync(file)]));
  const { stderr } = await runHere(["replay", both, "--to", at.to, "--speed", "max"]);
  expect(stderr).toContain("sent 5 datagrams");
  expect(await at.texts(5)).toEqual(["one", "two", "three", "dropped", "passes"]);
});

test("a cut file is sent up to the cut, and a missing one is an error", async (t) => {
  const file = saved(folderOf(t), "cut.pcapng", pcapng(packets).subarray(0, -4));
  await using at = await receiving();
  const { code, stderr } = await runHere(["replay", file, "--to", at.to]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^sent 2 datagrams, 6 bytes/);
  expect(stderr).toMatch(
    /datagram replay: .*cut\.pcapng": the file ends in the middle of a packet, at byte \d+ \(ENODATA\)\n$/,
  );
  const missing = await runHere(["replay", "/no/such/file", "--to", at.to]);
  expect(missing).toEqual({
    code: 1,
    stdout: "",
    stderr: 'datagram replay: cannot read "/no/such/file": there is no such file\n',
  });
});

test("the process waits for the next datagram, however long that takes", async (t) => {
  const file = saved(folderOf(t), "file.pcapng", pcapng(packets));
  await using at = await receiving();
  const slow = datagram(t, ["replay", file, "--to", at.to, "--speed", "0.01"]);
  const { code, stderr } = await slow.ended;
  expect([code, stderr.split(" in ")[0]]).toEqual([0, "sent 3 datagrams, 11 bytes"]);
});

test("Ctrl-C ends an endless loop with the summary, and the wait for a recorder", async (t) => {
  const file = saved(folderOf(t), "file.pcapng", pcapng(packets));
  await using at = await receiving();
  const endless = datagram(t, ["replay", file, "--to", at.to, "--loop", "0"]);
  await at.texts(10);
  endless.child.kill("SIGINT");
  const { code, stderr } = await endless.ended;
  expect([code, stderr.split("\n")[0]]).toEqual([0, expect.stringMatching(/^sent \d+ datagrams, /)]);
  await using fresh = await receiving();
  const live = datagram(t, ["replay", "-", "--to", fresh.to], { input: stayOpen });
  live.child.stdin!.write(pcapng(packets.slice(0, 1)));
  await fresh.texts(1);
  live.child.kill("SIGINT");
  const ended = await live.ended;
  expect(ended.code).toBe(1);
  expect(ended.stderr).toMatch(/^sent 1 datagram, 3 bytes.*interrupted before all was sent\n$/s);
});
