import { describe, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { everyTestRequired, listen, python, run } from "./program.js";

describe("answers", () => {
  const ask = (port: number, request: string): string => `
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
s.sendto(${request}, ("127.0.0.1", ${port}))
say(s.recv(65535)[:100])`;

  test.for([
    ["--reply", "ack: {}", "b'ack: ping'"],
    ["--reply", "{}{}", "b'pingping'"],
    ["--reply", "no", "b'no'"],
    ["--reply", "", "b''"],
    ["--echo", undefined, "b'ping'"],
  ] as const)("the peer gets its answer with %s %s", async ([option, value, answer], t) => {
    const { port } = await listen(t, value === undefined ? [option] : [option, value]);
    expect(await python(t, ask(port, 'b"ping"')).line()).toBe(answer);
  });

  test("an answer has the bytes of the request unchanged", async (t) => {
    const { port } = await listen(t, ["--echo"]);
    expect(await python(t, ask(port, 'b"\\x00\\xff\\x1b"')).line()).toBe("b'\\x00\\xff\\x1b'");
  });

  test("an answer has the part of the request that --recvfrom kept", async (t) => {
    const { port } = await listen(t, ["--reply", "<{}>", "--recvfrom", "2"]);
    expect(await python(t, ask(port, 'b"ping"')).line()).toBe("b'<pi>'");
  });

  test("answers that cannot be sent are reported and counted, and the others are sent", async (t) => {
    const listener = await listen(t, ["--reply", "ack: {}"]);
    const script = `
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
for request in (b"x" * 65507, b"y" * 65507, b"ping"): s.sendto(request, ("127.0.0.1", ${listener.port}))
say(s.recv(65535))`;
    expect(await python(t, script).line()).toBe("b'ack: ping'");
    const { stderr } = await listener.stop();
    expect(
      stderr.match(/warning: an answer was not sent: .*65512 bytes is over the limit of 65507/g),
    ).toHaveLength(1);
    expect(stderr).toContain("answered: 1\n");
    expect(stderr).toContain("answers not sent: 2, EMSGSIZE\n");
  });

  test("no answer goes to our own address or to port 0", async (t) => {
    const listener = await listen(t, ["--echo"]);
    // A raw socket forges the source port; the kernel fills in 127.0.0.1.
    const forge = `
import struct
try: raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
except PermissionError: sys.exit(77)
for source in (${listener.port}, 0):
    raw.sendto(struct.pack("!HHHH", source, ${listener.port}, 8 + 4, 0) + b"loop", ("127.0.0.1", 0))`;
    const { code } = await python(t, forge).ended;
    if (code === 77 && !everyTestRequired) t.skip("forging a source needs CAP_NET_RAW");
    expect(code).toBe(0);
    for (let left = 2; left > 0; left--) expect(await listener.line()).toContain('"loop"');
    const { stderr } = await listener.stop();
    expect(stderr).toContain("\n2 datagrams, 8 bytes from 2 peers\n");
    expect(stderr).toContain("not answered: 2, from our own address or from port 0\n");
  });

  test("each of many peers gets its own answer", async (t) => {
    const { port } = await listen(t, ["--reply", "to {}"]);
    const script = `
peers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]
for n, peer in enumerate(peers): peer.settimeout(20); peer.sendto(b"%d" % n, ("127.0.0.1", ${port}))
say(all(peer.recv(99) == b"to %d" % n for n, peer in enumerate(peers)))`;
    expect(await python(t, script).line()).toBe("True");
  });
});

overDrivers((driver) => {
  const env = { DATAGRAM_DRIVER: driver };
  const native = driver === "native";

  test("an answer leaves from the address that was asked, if the driver can choose it", async (t) => {
    const { port } = await listen(t, ["--reply", "from here"], "0.0.0.0:0", { env });
    // The kernel would answer from 127.0.0.1. A connected peer does not receive that.
    const { code, stdout } = await run(t, ["request", `127.0.0.2:${port}`, "x", "--timeout", "1s"]);
    expect({ code, stdout }).toEqual(native ? { code: 0, stdout: '"from here"\n' } : { code: 3, stdout: "" });
  });
});
