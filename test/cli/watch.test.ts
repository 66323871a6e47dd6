import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type TestContext, expect, test } from "vitest";

import { type Program, datagram, pythonPeer, pythonSend } from "./program.js";
import { lineWith } from "./listening.js";

/** The address of the page that a command prints. */
async function pageOf(program: Program): Promise<string> {
  const line = await lineWith(program, "the page is at ");
  return line.slice("the page is at ".length);
}

/** A TCP port that is taken. */
async function takenPort(test: TestContext): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  test.onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

test("watch prints where it listens and where the page is, serves it, and ends with a summary after Ctrl-C", async (t) => {
  const program = datagram(t, ["watch", "0", "--page", "0", "--print", "--reply", "got {}"]);
  const [, port] = /^listening on 127\.0\.0\.1:(\d+)$/.exec(await program.line("stderr")) ?? [];
  const url = await pageOf(program);
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
  const page = await fetch(url);
  expect([page.status, await page.text()]).toEqual([200, expect.stringContaining("<title>datagram")]);
  const peer = await pythonPeer(t, `s.sendto(b"hello", ("127.0.0.1", ${port}))\nsay(s.recv(100).decode())\n`);
  expect(await peer.line()).toBe("got hello");
  expect(await program.line()).toMatch(/ 5 bytes "hello"$/);
  const { code, signal, stderr } = await program.stop("SIGINT");
  expect([code, signal]).toEqual([0, null]);
  expect(stderr).toMatch(/1 datagram/);
  await expect(fetch(url)).rejects.toThrow();
});

test("without --print, watch prints no datagrams", async (t) => {
  const program = datagram(t, ["watch", "0", "--page", "0"]);
  const [, port] = /:(\d+)$/.exec(await program.line("stderr")) ?? [];
  await pageOf(program);
  await pythonSend(t, Number(port), ["hello"]);
  const { code, stdout } = await program.stop("SIGINT");
  expect([code, stdout]).toEqual([0, ""]);
});

test("on another host than loopback the address has a token, without which nothing is served", async (t) => {
  const program = datagram(t, ["watch", "0", "--page", "0.0.0.0:0"]);
  const url = new URL(await pageOf(program));
  expect(url.href).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{22}$/);
  expect((await fetch(new URL("/", url))).status).toBe(401);
  expect((await fetch(url)).status).toBe(200);
  expect((await program.stop("SIGINT")).code).toBe(0);
});

test("a taken port of the page is an error with --page, and else the next free one", async (t) => {
  const port = await takenPort(t);
  const { code, stderr } = await datagram(t, ["watch", "0", "--page", String(port)]).ended;
  expect(code).toBe(1);
  expect(stderr).toContain(`the TCP port 127.0.0.1:${port} is taken: choose another with --page`);
  const pages = [datagram(t, ["watch", "0"]), datagram(t, ["watch", "0"])];
  const [first = "", second = ""] = await Promise.all(pages.map(pageOf));
  expect(new URL(first).port).not.toBe(new URL(second).port);
});

test("a taken UDP port is an error, and no page is left", async (t) => {
  const peer = await pythonPeer(t, "time.sleep(60)\n");
  const { code, stderr } = await datagram(t, ["watch", String(peer.port), "--page", "0"]).ended;
  expect(code).toBe(1);
  expect(stderr).toContain("another socket has this address");
  expect(stderr).not.toContain("the page is at");
});

test("recordings that the page starts are kept in the folder of --record", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "watch-test-"));
  t.onTestFinished(() => rmSync(folder, { recursive: true }));
  const program = datagram(t, ["watch", "0", "--page", "0", "--record", folder]);
  const url = await pageOf(program);
  const body = Buffer.from("no capture file");
  const headers = { origin: new URL(url).origin };
  const response = await fetch(new URL("uploads?name=a.pcap", url), { method: "POST", body, headers });
  expect(response.status).toBe(201);
  const { code } = await program.stop("SIGINT");
  expect(code).toBe(0);
});

test("watch plays a capture file until Ctrl-C, and says why it cannot", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "watch-test-"));
  t.onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "day.pcapng");
  const recording = datagram(t, ["listen", "0", "--record", file, "--count", "1"]);
  const [, port] = /:(\d+)$/.exec(await recording.line("stderr")) ?? [];
  await pythonSend(t, Number(port), ["hello"]);
  expect((await recording.ended).code).toBe(0);
  const program = datagram(t, ["watch", file, "--page", "0"]);
  expect((await fetch(await pageOf(program))).status).toBe(200);
  expect((await program.stop("SIGINT")).code).toBe(0);
  const missing = await datagram(t, ["watch", join(folder, "none.pcapng"), "--page", "0"]).ended;
  expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining("there is no such file")]);
});

test("a folder for recordings that the system refuses is an error that names it", async (t) => {
  const refused = await datagram(t, ["watch", "0", "--record", "package.json/records"]).ended;
  expect({ code: refused.code, stderr: refused.stderr }).toEqual({
    code: 1,
    stderr: 'datagram watch: cannot record to "package.json/records": a part of the path is not a folder\n',
  });
});
