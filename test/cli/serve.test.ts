import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { type Socket, socket } from "datagram";
import { messages, request } from "datagram/message";
import { type TestContext, describe, expect, test } from "vitest";

import { commandsInOneProcess } from "./one-process.js";
import { type Program, datagram, deadAddress, file } from "./program.js";

const run = commandsInOneProcess();

/** Starts `datagram serve` on a free port. */
async function serve(
  test: TestContext,
  args: readonly string[],
): Promise<Program & { readonly to: readonly [string, number]; readonly port: number }> {
  const program = datagram(test, ["serve", "0", ...args]);
  const [, port] = /^listening on .*:(\d+)$/.exec(await program.line("stderr")) ?? [];
  await program.line("stderr");
  return Object.assign(program, { port: Number(port), to: ["127.0.0.1", Number(port)] as const });
}

function client(test: TestContext): Socket {
  const s = socket();
  test.onTestFinished(() => s.close());
  return s;
}

/** The answer to a datagram. */
async function ask(s: Socket, data: string, to: readonly [string, number]): Promise<string> {
  return (await request(s, data, to, { timeoutMs: 20_000, ackTimeoutMs: 20_000 })).data.toString();
}

/** Waits until a process has ended. A zombie, which nobody waits for in a container, has ended too. */
async function gone(pid: number): Promise<void> {
  const stat = `/proc/${pid}/stat`;
  while (existsSync(stat) && !/\) [ZX] /.test(readFileSync(stat, "utf8")))
    await new Promise((resolve) => setTimeout(resolve, 20));
}

describe("a program answers", () => {
  test("its output is the answer, and all arguments after --exec are its own", async (t) => {
    const server = await serve(t, [
      "--exec",
      "sh",
      "-c",
      'echo "$1 $2 $3"; cat',
      "sh",
      "--version",
      "-h",
      "$(id) `id` ;",
    ]);
    expect(await ask(client(t), "hello; id", server.to)).toBe("--version -h $(id) `id` ;\nhello; id");
    expect(await server.line()).toMatch(/^127\.0\.0\.1:\d+ 9 bytes, 35 bytes of output in \d+ ms$/);
    const { code, stderr } = await server.stop();
    expect(code).toBe(0);
    expect(stderr).toContain("1 request: 1 answered, 0 failed\n");
  });

  test("the environment tells where the request came from", async (t) => {
    const server = await serve(t, [
      "--exec",
      "sh",
      "-c",
      "env | grep -E '^DATAGRAM_(SOURCE|LOCAL|SIZE|CHANNEL)' | sort",
    ]);
    const s = client(t);
    const lines = (await ask(s, "", server.to)).trimEnd().split("\n");
    expect(lines).toEqual([
      `DATAGRAM_LOCAL_PORT=${server.port}`,
      "DATAGRAM_SIZE=0",
      "DATAGRAM_SOURCE_ADDRESS=127.0.0.1",
      `DATAGRAM_SOURCE_PORT=${s.getsockname().port}`,
    ]);
  });

  test("--message answers requests of any size, and tells the requester of a failure", async (t) => {
    const program = 'case "$DATAGRAM_CHANNEL" in 9) echo broken >&2; exit 3;; esac; tr a b';
    const server = await serve(t, ["--message", "--jobs", "2", "--exec", "sh", "-c", program]);
    const m = messages(client(t));
    const replies = await Promise.all([1, 2, 3].map(() => m.request(Buffer.alloc(300_000, "a"), server.to)));
    for (const { data } of replies) expect(data.equals(Buffer.alloc(300_000, "b"))).toBe(true);
    await expect(m.request("x", server.to, { channel: 9 })).rejects.toMatchObject({ code: "EPROTO" });
    expect(await server.line("stderr")).toBe("  broken");
    expect(await server.line("stderr")).toMatch(/^"sh" failed for 127\.0\.0\.1:\d+: its exit code is 3$/);
    await m.send("no request", server.to);
    expect(await server.line("stderr")).toMatch(
      /^warning: a message of 127\.0\.0\.1:\d+ asks for no reply and is dropped/,
    );
    expect((await server.stop()).stderr).toContain("4 requests: 3 answered, 1 failed\n");
  });

  test("--message warns once of datagrams that are no messages, and counts them", async (t) => {
    const server = await serve(t, ["--message", "--exec", "cat"]);
    const s = client(t);
    await s.sendto("plain", server.to);
    expect(await server.line("stderr")).toBe(
      `warning: datagrams come to 127.0.0.1:${server.port} that are no messages: datagram request --message asks with messages, and datagram serve without --message answers any datagram`,
    );
    await s.sendto("plain again", server.to);
    expect((await messages(s).request("hello", server.to)).data.toString()).toBe("hello");
    const { stderr } = await server.stop();
    expect(stderr).toContain("1 request: 1 answered, 0 failed\n  datagrams of another format: 2\n");
    expect(stderr.match(/^warning: datagrams/gm)).toHaveLength(1);
  });
});

describe("datagram request --message", () => {
  test("prints a reply of any size, as text, hex digits, JSON or bytes", async (t) => {
    const server = await serve(t, ["--message", "--exec", "tr", "a", "b"]);
    const address = `127.0.0.1:${server.port}`;
    const ask = ["request", address, "--message", "--timeout", "20s"];
    const large = await run([...ask, "--raw"], "a".repeat(300_000));
    expect(large.stdout).toBe("b".repeat(300_000));
    expect(large.stderr).toMatch(new RegExp(`^300000 bytes from ${address} in [\\d.]+ ms\n$`));
    expect(await run([...ask, "aha"])).toMatchObject({ code: 0, stdout: '"bhb"\n' });
    expect(await run([...ask, "--hex", "61 00"])).toMatchObject({ code: 0, stdout: "6200\n" });
    const { stdout } = await run([...ask, "--json", "a"]);
    expect(JSON.parse(stdout)).toMatchObject({ size: 1, text: "b" });
  });

  test("says why no reply came", async (t) => {
    const failing = await serve(t, ["--message", "--exec", "false"]);
    const failed = await run(["request", `127.0.0.1:${failing.port}`, "--message", "x"]);
    expect(failed).toMatchObject({ code: 1, stdout: "" });
    expect(failed.stderr).toBe(
      `datagram request: 127.0.0.1:${failing.port} could not answer: its handler or its program failed\n`,
    );
    const address = deadAddress();
    const dead = await run(["request", address, "--message", "x"]);
    expect(dead.code).toBe(4);
    expect(dead.stderr).toContain(`nobody is listening on ${address}`);
    const silent = client(t);
    await silent.bind(["127.0.0.1", 0]);
    const to = silent.getsockname();
    const late = await run(["request", String(to), "--message", "x", "--timeout", "300ms"]);
    expect(late.code).toBe(3);
    expect(late.stderr).toContain(
      `no report came from ${to} in 300 ms: lost, or nobody there reads messages, or nothing there answers requests`,
    );
  });
});

describe("limits", () => {
  test("at most --jobs programs run at the same time", async (t) => {
    const log = file(t, "");
    const program = 'echo begin >>"$1"; sleep 0.2; echo end >>"$1"; cat';
    const server = await serve(t, ["--jobs", "1", "--exec", "sh", "-c", program, "sh", log]);
    await Promise.all([1, 2, 3].map((number) => ask(client(t), String(number), server.to)));
    expect(readFileSync(log, "utf8")).toBe("begin\nend\n".repeat(3));
  });

  test("a failure, a timeout and too much output are reported, and the next request is answered", async (t) => {
    const program = `
case "$(cat)" in
  fail) echo 'it \u001b[31mfailed' >&2; exit 7 ;;
  hang) trap '' TERM; while :; do sleep 60; done ;;
  much) exec yes ;;
  dead) kill -9 $$ ;;
  none) ;;
  *) echo fine ;;
esac`;
    const server = await serve(t, ["--timeout", "5s", "--exec", "sh", "-c", program]);
    const s = client(t);
    const failures = [];
    for (const data of ["fail", "much", "dead", "hang"]) {
      await s.sendto(data, server.to);
      let line = await server.line("stderr");
      if (data === "fail") {
        expect(line).toBe("  it \\u{001b}[31mfailed");
        line = await server.line("stderr");
      }
      failures.push(line.replace(/^"sh" failed for 127\.0\.0\.1:\d+: /, ""));
    }
    expect(failures).toEqual([
      "its exit code is 7",
      "its output is longer than 65507 bytes",
      "it was ended by SIGKILL",
      "it took longer than 5 s",
    ]);
    await s.sendto("none", server.to);
    expect(await server.line()).toMatch(/4 bytes, no output in/);
    expect(await ask(s, "good", server.to)).toBe("fine\n");
  });

  test("Ctrl-C ends the programs, and those that they started", async (t) => {
    const pids = join(file(t, ""), "..", "pids");
    const program = 'sleep 600 & echo "$$ $!" >"$1.new"; mv "$1.new" "$1"; wait';
    const server = await serve(t, ["--timeout", "10m", "--exec", "sh", "-c", program, "sh", pids]);
    await client(t).sendto("x", server.to);
    while (!existsSync(pids)) await new Promise((resolve) => setTimeout(resolve, 20));
    const { code, stderr } = await server.stop();
    expect(code).toBe(0);
    expect(stderr).not.toContain("failed for");
    for (const pid of readFileSync(pids, "utf8").trim().split(" ")) await gone(Number(pid));
  });
});

test("a program that does not exist is an error at the start", async () => {
  expect(await run(["serve", "0", "--exec", "no-such-program"])).toMatchObject({
    code: 1,
    stderr: 'datagram serve: cannot run "no-such-program": there is no such program in PATH\n',
  });
  expect((await run(["serve", "0", "--exec", "/dev/null"])).stderr).toBe(
    'datagram serve: cannot run "/dev/null": permission denied\n',
  );
});
