/** A device with `micropython/datagram.py` sends messages to a gateway: its `send` returns after the stream has the message. */

import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { Program, stayOpen } from "../cli/program.js";
import { withoutPython } from "../message/codecs/tools.js";
import { NatsServer, noServer } from "./nats.js";
import { started, until } from "./sending.js";

const folder = fileURLToPath(new URL("../../micropython", import.meta.url));
/** For each line of its input, a number of milliseconds and a text, it sends the text. */
const device = `
import sys, socket
sys.path.insert(0, sys.argv[1])
import datagram
to = ("127.0.0.1", int(sys.argv[2]))
m = datagram.Messages(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
for line in sys.stdin:
    timeout, text = line.split()
    try:
        m.send(text.encode() * 1000, to, timeout=int(timeout))
        print("done", text, flush=True)
    except OSError as error:
        print(error, text, flush=True)
`;

test.skipIf(noServer !== undefined || withoutPython !== undefined)(
  "a device learns that its message is stored only from the acknowledgement, and of a failure by its timeout",
  async (t) => {
    const server = await NatsServer.start();
    t.onTestFinished(() => server.close());
    const { running, at } = await started(t, {
      ...{ nats: server.url, stream: "device", create: true, messages: true },
      // A server that hangs is found again soon.
      ...{ ackTimeoutMs: 1000, client: { pingInterval: 1000, maxPingOut: 2 } },
    });
    const program = new Program(t, "python3", ["-S", "-c", device, folder, String(at.port)], {
      input: stayOpen,
    });
    const lines: string[] = [];
    const line = async (): Promise<string> => {
      lines.push(await program.line());
      return lines.at(-1)!;
    };
    program.type("60000 first\n");
    expect(await line()).toBe("done first");
    expect(running.stats()).toMatchObject({ stored: 1, inFlight: 0 });

    // The gateway has the message, and the stream does not.
    await server.signal("SIGKILL");
    program.type("60000 waits\n");
    const waits = line();
    await until(running, ({ inFlight }) => inFlight === 1);
    expect(lines).toHaveLength(1);
    await server.start();
    expect(await waits).toBe("done waits");
    expect(running.stats()).toMatchObject({ stored: 2, inFlight: 0 });

    // The device gives up first. What the gateway holds is stored later: nobody takes it back.
    await server.signal("SIGKILL");
    program.type("500 fails\n");
    expect(await line()).toMatch(/^\[Errno 110\] .* fails$/);
    await server.start();
    await until(running, ({ stored, inFlight }) => stored === 3 && inFlight === 0);
    program.type("60000 again\n");
    expect(await line()).toBe("done again");
    const stored = (await server.messages("device")).map(({ data }) => String(data.subarray(0, 5)));
    expect(stored).toEqual(["first", "waits", "fails", "again"]);
  },
);
