import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { Blocks, folderOf, ipPacket, pcapng, saved, startNs } from "../capture/files.js";
import { objects } from "./listening.js";
import { commandsInOneProcess } from "./one-process.js";
import { datagram, stayOpen } from "./program.js";

const runHere = commandsInOneProcess();
const one = ipPacket("one");
const six = ipPacket("four\u0000", "fd00::1", "fd00::2");
const first = "2026-09-21T14:13:20.123456000Z";
const second = "2026-09-21T14:13:20.124456000Z";

test("each datagram is a line, and the summary goes to standard error", async (t) => {
  const file = saved(folderOf(t), "file.pcapng", pcapng([one, six]));
  expect(await runHere(["read", file])).toEqual({
    code: 0,
    stdout: [
      `${first} 10.0.0.1:5000 > 10.0.0.2:9000 3 bytes "one"\n`,
      `${second} [fd00::1]:5000 > [fd00::2]:9000 5 bytes "four\\x00"\n`,
    ].join(""),
    stderr: "2 datagrams, 8 bytes from 2 peers\n",
  });
  const { stdout } = await runHere(["read", "-", "--hex"], readFileSync(file));
  expect(stdout.split("\n")[0]).toBe(`${first} 10.0.0.1:5000 > 10.0.0.2:9000 3 bytes 6f6e65`);
});

test("the datagrams of a recorder that still runs are printed as they come", async (t) => {
  const reading = datagram(t, ["read", "-"], { input: stayOpen });
  const file = pcapng([one, six]);
  const start = file.length - 84;
  reading.child.stdin!.write(file.subarray(0, start));
  expect(await reading.line()).toBe(`${first} 10.0.0.1:5000 > 10.0.0.2:9000 3 bytes "one"`);
  reading.child.stdin!.end(file.subarray(start));
  expect((await reading.ended).stderr).toBe("2 datagrams, 8 bytes from 2 peers\n");
});

test("Ctrl-C ends the reading of a pipe, with the summary", async (t) => {
  const reading = datagram(t, ["read", "-"], { input: stayOpen });
  reading.child.stdin!.write(pcapng([one]));
  expect(await reading.line()).toContain('"one"');
  reading.child.kill("SIGINT");
  expect(await reading.ended).toMatchObject({ code: 0, stderr: "1 datagram, 3 bytes from 1 peer\n" });
});

test("--json prints an object a line, without the fields that the file does not have", async (t) => {
  const file = saved(folderOf(t), "file.pcapng", pcapng([one]));
  const { stdout } = await runHere(["read", file, "--json"]);
  expect(objects(stdout)).toEqual([
    {
      packet: 1,
      time: first,
      source: { host: "10.0.0.1", port: 5000 },
      destination: { host: "10.0.0.2", port: 9000 },
      size: 3,
      truncated: false,
      text: "one",
      ttl: 61,
      tos: 40,
    },
  ]);
});

test("--peers prints a table, the most bytes first", async (t) => {
  const file = saved(folderOf(t), "file.pcapng", pcapng([one, six, ipPacket("three!")]));
  const { stdout } = await runHere(["read", file, "--peers"]);
  expect(stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
    ["2026-09-21, times in UTC"],
    ["peer", "datagrams", "bytes", "sizes", "first", "last"],
    ["10.0.0.1:5000", "2", "9", "3-6", "14:13:20.123", "14:13:20.125"],
    ["[fd00::1]:5000", "1", "5", "5", "14:13:20.124", "14:13:20.124"],
    [""],
  ]);
});

test("the table of --peers has at most 80 columns, also over several days", async (t) => {
  const blocks = new Blocks();
  const of = blocks.interface(101, []);
  const day = 86_400_000_000n;
  const from = "255.255.255.255";
  const times = [blocks.packet(ipPacket("x", from), startNs / 1000n)];
  for (let each = 0; each < 99_999; each++)
    times.push(blocks.packet(ipPacket("a longer one", from), startNs / 1000n + day));
  const file = saved(folderOf(t), "file.pcapng", blocks.section(), of, ...times);
  const { stdout } = await runHere(["read", file, "--peers"]);
  expect(stdout).toBe(
    "2026-09-21 to 2026-09-22, times in UTC\n" +
      "peer                  datagrams  bytes    sizes  first        last\n" +
      "255.255.255.255:5000  100000     1199989  1-12   09-21 14:13  09-22 14:13\n",
  );
});

test("a time before 1970 is printed, and one that has no date is a dash", async (t) => {
  const blocks = new Blocks();
  const inSeconds = blocks.interface(101, [blocks.option(9, Buffer.of(0))]);
  const earlier = blocks.interface(101, [blocks.option(14, blocks.uint64(-1n))]);
  const times = [blocks.packet(one, 0xffff_ffff_ffff_ffffn), blocks.packet(one, 500_000n, [], 1)];
  const file = saved(folderOf(t), "file.pcapng", blocks.section(), inSeconds, earlier, ...times);
  const { code, stdout } = await runHere(["read", file]);
  expect({ code, times: stdout.split("\n").map((line) => line.split(" ")[0]) }).toEqual({
    code: 0,
    times: ["-", "1969-12-31T23:59:59.500000000Z", ""],
  });
  expect(objects((await runHere(["read", file, "--json"])).stdout)[0]).not.toHaveProperty("time");
  expect((await runHere(["read", file, "--peers"])).stdout).toMatch(
    /^1969-12-31, times in UTC\n[^]* - +23:59:59\.500\n/,
  );
});

test("--losses prints the losses of the recorder, and the summary counts what was cut", async (t) => {
  const blocks = new Blocks();
  const time = startNs / 1000n;
  const lost = blocks.packet(one, time, [blocks.option(4, blocks.uint64(3n))]);
  const cut = blocks.packet(one.subarray(0, 30), time, [], 0, one.length);
  const file = saved(folderOf(t), "file.pcapng", blocks.section(), blocks.interface(101), lost, cut);
  expect(await runHere(["read", file, "--losses"])).toEqual({
    code: 0,
    stdout: `${first} the recorder lost 3 packets\n`,
    stderr: [
      "2 datagrams, 6 bytes from 1 peer\n",
      "  packets lost by the recorder: 3\n",
      "  datagrams cut by the recorder: 1\n",
    ].join(""),
  });
});

test("a cut file prints all datagrams before the cut, and ends with 1", async (t) => {
  const whole = pcapng([one, six]);
  const file = saved(folderOf(t), "file.pcapng", whole.subarray(0, -1));
  const { code, stdout, stderr } = await runHere(["read", file]);
  expect({ code, lines: stdout.split("\n").length }).toEqual({ code: 1, lines: 2 });
  expect(stderr).toBe(
    "1 datagram, 3 bytes from 1 peer\n" +
      `datagram read: ${JSON.stringify(file)}: the file ends in the middle of a packet, at byte 112 (ENODATA)\n`,
  );
});

test("a missing file, and one that is no capture file, end with 1", async (t) => {
  const missing = await runHere(["read", "/no/such/file"]);
  expect(missing).toMatchObject({ code: 1, stdout: "" });
  // Without a summary, since nothing was read.
  expect(missing.stderr).toBe('datagram read: cannot read "/no/such/file": there is no such file\n');
  const text = saved(folderOf(t), "text", Buffer.from("no capture"));
  expect((await runHere(["read", text])).stderr).toContain("not a capture file");
});
