import { expect } from "vitest";

import { contract, failure, numbered, soon, texts, turn } from "./world.js";

// semantics: iteration
contract(
  "for await returns each datagram with its source, and ends cleanly at close()",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    await sender.sendMany(numbered(100), receiver.getsockname());
    const found: string[] = [];
    for await (const { data, source, size, truncated } of receiver) {
      expect([source.equals(sender.getsockname()), size, truncated]).toEqual([true, data.length, false]);
      if (found.push(data.toString()) === 100) await receiver.close();
    }
    expect(found).toEqual(numbered(100));
  },
);

// semantics: reply
contract("an echo server in one line answers every sender", async ({ bound }) => {
  const [server, clients] = [await bound(), [await bound(), await bound()]];
  const serving = (async () => {
    for await (const datagram of server) await datagram.reply(datagram.data);
  })();
  for (const [index, client] of clients.entries()) {
    await client.sendto(`from ${index}`, server.getsockname());
    expect(await texts(client, 1)).toEqual([`from ${index}`]);
  }
  await server.close();
  await expect(serving).resolves.toBeUndefined();
});

// semantics: iteration
contract("close() ends a waiting iteration", async ({ bound }) => {
  const receiver = await bound();
  const step = receiver[Symbol.asyncIterator]().next();
  await turn(receiver);
  await receiver.close();
  await expect(step).resolves.toEqual({ done: true, value: undefined });
});

// semantics: iteration
contract("close() during a batch ends the iteration there", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await sender.sendMany(numbered(50), receiver.getsockname());
  const found: string[] = [];
  for await (const { data } of receiver) {
    if (found.push(data.toString()) === 10) void receiver.close();
  }
  expect(found).toEqual(numbered(10));
});

// semantics: iteration-break
contract(
  "break neither closes the socket nor loses a datagram: the next reader goes on from there",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    await sender.sendMany(numbered(9), receiver.getsockname());
    const found: string[] = [];
    for await (const { data } of receiver) if (found.push(data.toString()) === 3) break;
    expect(receiver.closed).toBe(false);
    found.push(...(await texts(receiver, 3)));
    for await (const { data } of receiver) if (found.push(data.toString()) === 9) break;
    expect(found).toEqual(numbered(9));
  },
);

// semantics: iteration-break
contract("an error thrown in the loop's body ends the loop, not the socket", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await sender.sendMany(["1", "2"], receiver.getsockname());
  const loop = async (): Promise<void> => {
    for await (const { data } of receiver) throw new Error(`thrown at ${data.toString()}`);
  };
  await expect(loop()).rejects.toThrow("thrown at 1");
  expect(await texts(receiver, 1)).toEqual(["2"]);
});

// semantics: iteration-busy
contract(
  "a second reader during an iteration is EBUSY, and the error names the iteration",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    await sender.sendto("hello", receiver.getsockname());
    const refused: unknown[] = [];
    for await (const { data } of receiver) {
      expect(data.toString()).toBe("hello");
      const second = receiver[Symbol.asyncIterator]();
      const readers = [
        receiver.recvfrom(64),
        receiver.recv(64),
        receiver.recvmsg(),
        receiver.recvMany(4),
        second.next(),
      ];
      for (const reader of readers) {
        const error = await failure(reader);
        expect(error).toMatchObject({ code: "EBUSY" });
        expect(error.message).toContain("an iteration reads this socket");
        refused.push(error.syscall);
      }
      break;
    }
    expect(refused).toEqual(["recvfrom", "recv", "recvmsg", "recvMany", "for await"]);
  },
);

// semantics: iteration-busy
contract(
  "while an iteration waits, another reader is refused and takes no datagram from it",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const step = receiver[Symbol.asyncIterator]().next();
    await expect(failure(receiver.recvfrom(64, soon))).resolves.toMatchObject({
      code: "EBUSY",
      syscall: "recvfrom",
    });
    await sender.sendto("hello", receiver.getsockname());
    const { value } = await step;
    expect(value?.data.toString()).toBe("hello");
  },
);

// semantics: iteration-timeout
contract(
  "settimeout applies to each step, and the socket can still be read after a timeout",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    receiver.settimeout(0.05);
    await sender.sendto("1", receiver.getsockname());
    const found: string[] = [];
    const loop = async (): Promise<void> => {
      for await (const { data } of receiver) found.push(data.toString());
    };
    await expect(failure(loop())).resolves.toMatchObject({ name: "TimeoutError", code: "ETIMEDOUT" });
    await sender.sendto("2", receiver.getsockname());
    receiver.settimeout(null);
    found.push(...(await texts(receiver, 1)));
    expect(found).toEqual(["1", "2"]);
  },
);

// semantics: iteration-timeout
contract("settimeout(0) ends an iteration with EAGAIN when everything is read", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  receiver.settimeout(0);
  await sender.sendMany(numbered(10), receiver.getsockname());
  const found: string[] = [];
  const loop = async (): Promise<void> => {
    for await (const { data } of receiver) found.push(data.toString());
  };
  await expect(failure(loop())).resolves.toMatchObject({ code: "EAGAIN" });
  expect(found).toEqual(numbered(10));
});

// semantics: iteration-steps
contract("several next() at once are served in order", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const iteration = receiver[Symbol.asyncIterator]();
  const steps = numbered(20).map(() => iteration.next());
  await sender.sendMany(numbered(20), receiver.getsockname());
  const found = (await Promise.all(steps)).map(({ value }) => value?.data.toString());
  expect(found).toEqual(numbered(20));
  await iteration.return();
  await expect(iteration.next()).resolves.toEqual({ done: true, value: undefined });
});

// semantics: closed
contract("an iteration that starts after close() is EBADF", async ({ bound }) => {
  const receiver = await bound();
  await receiver.close();
  const loop = async (): Promise<void> => {
    for await (const { data } of receiver) expect.unreachable(data.toString());
  };
  await expect(failure(loop())).resolves.toMatchObject({ code: "EBADF" });
});

// semantics: iteration-return
contract("return() while a step waits ends that step, and takes no datagram", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const iteration = receiver[Symbol.asyncIterator]();
  const step = iteration.next();
  await iteration.return();
  await sender.sendto("for the next reader", receiver.getsockname());
  expect(await texts(receiver, 1)).toEqual(["for the next reader"]);
  expect(await step).toEqual({ done: true, value: undefined });
});
