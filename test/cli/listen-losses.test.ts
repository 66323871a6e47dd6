import { type TestContext, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { lineWith, objects } from "./listening.js";
import { type Listener, datagram, listen, pythonPeer, pythonSend } from "./program.js";

/** What stands in each line with --json about dropped datagrams. */
const dropped = '"event":"dropped"';

overDrivers((driver) => {
  const env = { DATAGRAM_DRIVER: driver };
  const native = driver === "native";

  test("drops of a full receive buffer are reported while listen runs, and the counts include each drop", async (t) => {
    const listener = await listen(t, ["--buffer", "8k", "--json"], "0", { env });
    await overflow(t, listener, 500);
    if (!native) {
      await listener.line();
      const { stderr } = await listener.stop();
      expect(stderr).toContain(
        "  dropped by the kernel: unknown, node:dgram does not report what the kernel dropped",
      );
      expect(stderr).not.toContain('"dropped"');
      return;
    }
    const [first] = objects(await lineWith(listener, dropped));
    expect(first).toMatchObject({ cause: "receiveBuffer" });
    await pythonSend(t, listener.port, ["behind the gap"]);
    await lineWith(listener, "behind the gap", "stdout");
    const { stdout, stderr } = await listener.stop();
    // Other programs' losses are lines as well, with another event.
    const lines = stderr.split("\n").filter((line) => line.includes(dropped));
    const lost = objects(lines.join("\n"));
    const sum = total(lost, "datagrams");
    const received = objects(stdout);
    expect(received.length + sum).toBe(501);
    expect(total(received, "lostBefore")).toBe(sum);
    expect(stderr).toContain(`\n  dropped by the kernel: ${sum} at least\n`);
  });

  test.runIf(native)(
    "without merging, the count of the kernel is exact, and no text says at least",
    async (t) => {
      const listener = await listen(t, ["--buffer", "8k", "--json"], "0", {
        env: { ...env, DATAGRAM_GRO: "off" },
      });
      await overflow(t, listener, 500);
      const [first] = objects(await lineWith(listener, dropped));
      expect(first).toMatchObject({ cause: "receiveBuffer", atLeast: false });
      const { stdout, stderr } = await listener.stop();
      const [, count] = /\n {2}dropped by the kernel: (\d+)\n/.exec(stderr)!;
      expect(objects(stdout).length + Number(count)).toBe(500);
    },
  );

  test("in a flood without a reader, losses are reported in one line per second", async (t) => {
    const listener = await listen(t, [], "0", { env });
    listener.child.stdout!.pause();
    const flood = datagram(t, ["send", listener.address, "x".repeat(1000), "--repeat", "1000000000"]);
    const told = native
      ? /^lost (\d+) datagrams? at least: the receive buffer was full$/
      : /^lost (\d+) datagrams?: the queue of this process was full$/;
    const lines = [await lineWith(listener, "lost "), await lineWith(listener, "lost ")];
    await flood.stop();
    listener.child.stdout!.resume();
    const { stderr } = await listener.stop();
    for (const line of lines) expect(line).toMatch(told);
    const counts = stderr.split("\n").flatMap((line) => told.exec(line)?.slice(1).map(Number) ?? []);
    const [, total] = (native ? /by the kernel: (\d+)/ : /by this process: (\d+)/).exec(stderr)!;
    expect(counts.reduce((all, each) => all + each, 0)).toBe(Number(total));
  });

  test("an ICMP error about an answer is reported while listen runs, and counted", async (t) => {
    const listener = await listen(t, ["--reply", "ack"], "0", { env });
    const port = await askAndGo(t, listener);
    const unreachable = `nobody is listening on 127.0.0.1:${port} (port unreachable, from 127.0.0.1)`;
    if (native) expect(await lineWith(listener, "nobody")).toBe(`${unreachable}: an answer did not arrive`);
    else await listener.line();
    const { stderr } = await listener.stop();
    expect(stderr).toContain("\n  answered: 1\n");
    const count = native
      ? "1 at least, ECONNREFUSED\n"
      : "unknown, node:dgram reports ICMP errors to connected sockets only";
    expect(stderr).toContain(`\n  answers that came back unreachable: ${count}`);
  });

  test("with --json an ICMP error about an answer is an object, if the driver can tell", async (t) => {
    const listener = await listen(t, ["--echo", "--json"], "0", { env });
    const port = await askAndGo(t, listener);
    await listener.line();
    if (native) {
      expect(objects(await lineWith(listener, '"event":"unreachable"'))).toEqual([
        {
          time: expect.stringMatching(/Z$/) as string,
          event: "unreachable",
          reports: 1,
          destination: { host: "127.0.0.1", port },
          code: "ECONNREFUSED",
          kind: "port unreachable",
          from: "127.0.0.1",
        },
      ]);
    }
    expect((await listener.stop()).stderr.includes('"unreachable"')).toBe(native);
  });

  test("a receive buffer that is smaller than requested is reported, and how to get more", async (t) => {
    const listener = await listen(t, ["--buffer", "1000m"], "0", { env });
    const { stderr } = await listener.stop();
    expect(stderr).toMatch(
      /\n {2}the receive buffer has \d+ of 1048576000 bytes asked for: sudo sysctl -w net\.core\.rmem_max=1048576000\n/,
    );
  });
});

test("a receive buffer as large as requested is not mentioned", async (t) => {
  const { stderr } = await (await listen(t, ["--buffer", "64K"])).stop();
  expect(stderr).not.toContain("the receive buffer has");
});

/** Stops the listener, and sends it more than its receive buffer has room for. */
async function overflow(test: TestContext, listener: Listener, datagrams: number): Promise<void> {
  listener.child.kill("SIGSTOP");
  await pythonSend(
    test,
    listener.port,
    Array.from({ length: datagrams }, () => "x".repeat(100)),
  );
  listener.child.kill("SIGCONT");
}

/** Asks the listener for an answer and closes before it arrives. Returns the port. */
async function askAndGo(test: TestContext, listener: Listener): Promise<number> {
  listener.child.kill("SIGSTOP");
  const peer = await pythonPeer(test, `s.sendto(b"x", ("127.0.0.1", ${listener.port}))`);
  expect(await peer.ended).toMatchObject({ code: 0 });
  listener.child.kill("SIGCONT");
  return peer.port;
}

function total(all: readonly Record<string, unknown>[], name: string): number {
  return all.reduce((sum, each) => sum + (each[name] as number), 0);
}
