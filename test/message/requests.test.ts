/** Requests run at most once at the handler, and their replies arrive whatever their size. */

import { crc32 } from "node:zlib";

import { type Message, MessageError } from "datagram/message";
import type { Packet } from "datagram/sim";
import { expect, test } from "vitest";

import { Replies } from "../../src/message/replies.js";
import { frameFlag, frameKind } from "../../src/wire/message-frame.js";
import { frame } from "./frames.js";
import { between, desk, next, pattern, sleep } from "./tools.js";

test("a request is answered with a reply of any size", async () => {
  await between({ latencyMs: 10 }, async ({ camera, desk: to }) => {
    const stop = to.serve(({ data, source }) => {
      expect(source.host).toBe("10.0.0.1");
      return pattern(Number(data.toString()));
    });
    for (const bytes of [0, 1, 1200, 100_000]) {
      const reply = await camera.request(`${bytes}`, desk);
      expect(reply.data.equals(pattern(bytes))).toBe(true);
      expect(reply.source.port).toBe(desk[1]);
    }
    stop();
    await expect(camera.request("10", desk, { timeoutMs: 500 })).rejects.toMatchObject({ code: "ETIMEDOUT" });
    expect(to.stats().dropped.unserved).toBeGreaterThan(0);
  });
});

test("the handler runs once for each answered request, and never twice, with 30% loss and 30% duplicates", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    await between(
      { latencyMs: 10, lossRatio: 0.3, duplicateRatio: 0.3 },
      async ({ camera, desk: to }) => {
        const runs = new Map<string, number>();
        to.serve(({ data }) => {
          const key = data.toString();
          runs.set(key, (runs.get(key) ?? 0) + 1);
          return `${key}!`.padEnd(3000, ".");
        });
        const queries = Array.from({ length: 20 }, (_, number) => `request ${number}`);
        const replies = await Promise.all(queries.map((query) => camera.request(query, desk)));
        expect(
          replies.map(({ data }) => data.toString().replace(/\.+$/, "")),
          `seed ${seed}`,
        ).toEqual(queries.map((query) => `${query}!`));
        await sleep(20_000);
        expect(
          queries.map((query) => runs.get(query)),
          `seed ${seed}`,
        ).toEqual(queries.map(() => 1));
      },
      { seed },
    );
  }
});

test("a handler that fails is reported, answers EPROTO, and the next request is served", async () => {
  await between({ latencyMs: 10 }, async ({ camera, desk: to }) => {
    const failures: [unknown, Message][] = [];
    to.on("failed", (...failure) => failures.push(failure));
    to.serve(({ data }) => {
      if (data.toString() === "bad") throw new Error("no such lamp");
      return data;
    });
    const error = await camera.request("bad", desk).catch((reason) => reason as MessageError);
    expect(error).toBeInstanceOf(MessageError);
    expect(error).toMatchObject({ code: "EPROTO", syscall: "request", address: desk[0] });
    expect(error).toMatchObject({ chunks: 1, arrivedChunks: 1 });
    expect(failures.map(([reason, { data }]) => [(reason as Error).message, data.toString()])).toEqual([
      ["no such lamp", "bad"],
    ]);
    expect((await camera.request("good", desk)).data.toString()).toBe("good");
  });
});

test("a reply that is longer than the requester takes is reported, and answers EPROTO", async () => {
  await between({ latencyMs: 10 }, async ({ camera, desk: to }) => {
    const failures: [unknown, Message][] = [];
    to.on("failed", (...failure) => failures.push(failure));
    to.serve(({ data }) => (data.toString() === "short" ? data : Buffer.alloc(3_000_000)));
    await expect(camera.request("long", desk)).rejects.toMatchObject({ code: "EPROTO", syscall: "request" });
    expect(failures.map(([, { data }]) => data.toString())).toEqual(["long"]);
    expect(failures[0]?.[0]).toMatchObject({ code: "EMSGSIZE", syscall: "serve", limit: 2_097_152 });
    expect((await camera.request("short", desk)).data.toString()).toBe("short");
  });
});

test("so it is if the requester says so only when it asks again, because no part of the reply came through before", async () => {
  await between(
    { latencyMs: 10 },
    async ({ camera, desk: to, link }) => {
      const failures: [unknown, Message][] = [];
      to.on("failed", (...failure) => failures.push(failure));
      let runs = 0;
      to.serve(() => {
        runs++;
        return Buffer.alloc(3_000_000);
      });
      const end = link.drop(({ source }) => source === desk[0]);
      const asked = camera.request("long", desk, { timeoutMs: 20_000 });
      // The reply is given up after a second.
      await sleep(3000);
      end();
      await expect(asked).rejects.toMatchObject({ code: "EPROTO", syscall: "request" });
      expect(runs).toBe(1);
      expect(failures.map(([, { data }]) => data.toString())).toEqual(["long"]);
      expect(failures[0]?.[0]).toMatchObject({ code: "EMSGSIZE", syscall: "serve", limit: 2_097_152 });
    },
    { desk: { giveUpMs: 1000 } },
  );
});

test("replies that their requesters never took, and their requests, are kept up to a limit", async () => {
  const replies = new Replies();
  const kept = (id: number): boolean => replies.find(id, 1) !== undefined;
  await between({ latencyMs: 1 }, async ({ camera, desk: to }) => {
    await camera.send(Buffer.alloc(400_000), desk);
    const request = await next(to);
    for (let id = 0; id < 4; id++)
      replies.end(replies.begin(id, 1, undefined, request), Buffer.alloc(1000), false);
    expect([0, 1, 2, 3].filter(kept)).toEqual([2, 3]);
    replies.done(replies.find(3, 1)!);
    replies.end(replies.begin(4, 1, undefined, request), Buffer.alloc(1000), false);
    expect([0, 1, 2, 3, 4].filter(kept)).toEqual([2, 3, 4]);
  });
});

test("a second handler is EBUSY", async () => {
  await between({}, async ({ desk: to }) => {
    to.serve(({ data }) => data);
    expect(() => to.serve(({ data }) => data)).toThrow(expect.objectContaining({ code: "EBUSY" }));
  });
});

test("a request fails with ECONNREFUSED at once if nobody listens, as a MessageError", async () => {
  await between({ latencyMs: 10 }, async ({ camera, network }) => {
    const start = network.clock.now();
    const error = await camera.request("hello", [desk[0], 9001]).catch((reason) => reason as MessageError);
    expect(error).toBeInstanceOf(MessageError);
    expect(error).toMatchObject({ code: "ECONNREFUSED", chunks: 1, arrivedChunks: 0 });
    expect((error as MessageError).message).toBe(
      "request 10.0.0.2:9001: 0 of 1 chunks of 5 bytes arrived: " +
        "nobody is listening there (port unreachable, from 10.0.0.2) (ECONNREFUSED)",
    );
    expect(network.clock.now() - start).toBeLessThan(100);
  });
});

test.each(["messages", "socket"] as const)(
  "a request fails with ECANCELED after close() of the %s, as a MessageError that says whether it arrived",
  async (closed) => {
    await between({ latencyMs: 10 }, async ({ camera, desk: to, link, sockets }) => {
      link.drop(({ content }) => content.protocol === "udp" && content.payload.includes("hello"));
      to.serve(() => new Promise(() => undefined));
      const asking = [camera.request(pattern(3000), desk), camera.request("hello", desk)].map((call) =>
        call.catch((reason) => reason as MessageError),
      );
      await sleep(200);
      await (closed === "messages" ? camera : sockets[0]).close();
      const errors = (await Promise.all(asking)) as MessageError[];
      for (const error of errors) expect(error).toBeInstanceOf(MessageError);
      expect(errors.map(({ code, chunks, arrivedChunks }) => [code, chunks, arrivedChunks])).toEqual([
        ["ECANCELED", 3, 3],
        ["ECANCELED", 1, 0],
      ]);
      expect(errors.map(({ message }) => message)).toEqual([
        "request 10.0.0.2:9000: the messages were closed: the request arrived (ECANCELED)",
        "request 10.0.0.2:9000: the messages were closed: 0 of 1 chunks of 5 bytes arrived (ECANCELED)",
      ]);
    });
  },
);

test("a request says after timeoutMs whether it arrived", async () => {
  await between({ latencyMs: 10 }, async ({ camera, desk: to }) => {
    to.serve(async () => {
      await sleep(60_000);
      return "late";
    });
    await expect(camera.request("hello", desk, { timeoutMs: 3000 })).rejects.toThrow(
      "request 10.0.0.2:9000: the request arrived, and its reply did not within timeoutMs, 3000 ms (ETIMEDOUT)",
    );
  });
});

test("a request to a peer without a handler fails with a text that says so", async () => {
  await between({ latencyMs: 10 }, async ({ camera, desk: to }) => {
    const reason = "lost, or nobody reads messages there, or no handler is set there with serve()";
    const zero = "0 of 1 chunks of 5 bytes arrived";
    await expect(camera.request("hello", desk, { timeoutMs: 1000 })).rejects.toThrow(
      `request 10.0.0.2:9000: the request did not arrive: ${zero} within timeoutMs, 1000 ms: ${reason} (ETIMEDOUT)`,
    );
    await expect(camera.request("hello", desk, { timeoutMs: 20_000 })).rejects.toThrow(
      `request 10.0.0.2:9000: ${zero}, and no report said more for giveUpMs, 10000 ms: ${reason} (ETIMEDOUT)`,
    );
    expect(to.stats().dropped.unserved).toBeGreaterThan(0);
  });
});

test("a request that does not arrive whole fails with the number of its chunks that arrived", async () => {
  await between({ latencyMs: 10, rateBps: 1_000_000 }, async ({ camera, desk: to }) => {
    to.serve(() => "done");
    // The link needs 1.7 s for the request.
    const error = await camera
      .request(pattern(200_000), desk, { timeoutMs: 1000 })
      .catch((reason) => reason as MessageError);
    expect(error).toBeInstanceOf(MessageError);
    const { code, chunks, arrivedChunks, message } = error as MessageError;
    expect({ code, chunks }).toEqual({ code: "ETIMEDOUT", chunks: 167 });
    expect(arrivedChunks).toBeGreaterThan(50);
    expect(arrivedChunks).toBeLessThan(167);
    const arrived = `${arrivedChunks} of 167 chunks of 200000 bytes arrived`;
    expect(message).toBe(
      `request 10.0.0.2:9000: the request did not arrive: ${arrived} within timeoutMs, 1000 ms (ETIMEDOUT)`,
    );
  });
  await between({ latencyMs: 10, lossRatio: 1 }, async ({ camera }) => {
    await expect(camera.request("hello", desk, { timeoutMs: 1000 })).rejects.toMatchObject({
      code: "ETIMEDOUT",
      chunks: 1,
      arrivedChunks: 0,
    });
  });
});

test("a reply to an address that has proven nothing waits for the proof", async () => {
  await between({ latencyMs: 10 }, async ({ camera, desk: to, sockets, network }) => {
    to.serve(() => pattern(50_000));
    const sizes: number[] = [];
    sockets[1].tap(({ direction, data }) => {
      if (direction === "out") sizes.push(data.length);
    });
    const start = network.clock.now();
    const reply = await camera.request("picture", desk);
    expect(reply.data.length).toBe(50_000);
    // The report and the probe together are less than three times the request of 31 bytes.
    expect(sizes.slice(0, 2).sort((a, b) => a - b)).toEqual([24, 32]);
    expect(sizes[2]).toBe(1224);
    expect(network.clock.now() - start).toBeLessThan(150);
  });
});

test("a reply that was lost leaves again when the request comes again", async () => {
  await between({ latencyMs: 10 }, async ({ camera, desk: to, link, network }) => {
    let runs = 0;
    to.serve(() => `run ${++runs}`);
    const end = link.drop(
      ({ content }) => content.protocol === "udp" && kindOf(content.payload) === frameKind.reply,
    );
    setTimeout(end, 200);
    const start = network.clock.now();
    expect((await camera.request("hello", desk)).data.toString()).toBe("run 1");
    // The request comes again after 250 ms. The sender of the reply alone would wait for a second.
    expect(network.clock.now() - start).toBeLessThan(300);
    await sleep(20_000);
    expect(runs).toBe(1);
  });
});

test("a requester that proves nothing gets at most three times its bytes, however often it asks", async () => {
  await between({ latencyMs: 10 }, async ({ camera, desk: to, link, sockets }) => {
    to.serve(() => "done");
    const isProof = ({ content }: Packet): boolean =>
      content.protocol === "udp" && kindOf(content.payload) !== frameKind.request;
    link.drop(isProof, "up");
    link.drop(({ content }) => content.protocol === "udp" && kindOf(content.payload) === frameKind.reply);
    let [received, answered] = [0, 0];
    sockets[1].tap(({ direction, data }) => {
      if (direction === "in") received += data.length;
      else answered += data.length;
      expect(answered).toBeLessThanOrEqual(3 * received);
    });
    await expect(camera.request("hello", desk)).rejects.toMatchObject({ code: "ETIMEDOUT" });
    expect(answered).toBeGreaterThan(received);
  });
});

test("neither a report of a reply nor the token of another address proves an address", async () => {
  await between({ latencyMs: 10 }, async ({ desk: to, hosts, sockets }) => {
    to.serve(() => pattern(50_000));
    const [victim, other] = [hosts[0].socket(), hosts[0].socket()];
    const [victims, others] = [["10.0.0.1", 5001] as const, ["10.0.0.1", 5002] as const];
    await victim.bind(victims);
    await other.bind(others);
    let [received, answered] = [0, 0];
    sockets[1].tap(({ direction, data, source, destination }) => {
      if (direction === "in" && source.port === victims[1]) received += data.length;
      if (direction === "out" && destination.port === victims[1]) answered += data.length;
    });
    const asked = frame({ kind: frameKind.request, flags: frameFlag.now });
    await other.sendto(asked, desk);
    let token = 0;
    for await (const { data } of other) {
      if (kindOf(data) !== frameKind.probe) continue;
      token = data.readUInt32BE(4);
      break;
    }
    const none = { size: 0, length: 0, crc: 0 };
    const proof = frame({ kind: frameKind.probeAck, id: token, ...none }, Buffer.alloc(0));
    const about = { kind: frameKind.report, length: 50_000, crc: crc32(pattern(50_000)) };
    const report = frame(about, Buffer.from([0, 0, 0, 100, 0xff, 0xff, 0, 0]));
    for (const datagram of [proof, asked, report, report]) {
      await victim.sendto(datagram, desk);
      await sleep(300);
    }
    await sleep(20_000);
    expect(to.stats().dropped).toEqual({ token: 1 });
    expect(to.peer(victims).stats().isProven).toBe(false);
    expect(answered).toBeGreaterThan(0);
    expect(answered).toBeLessThanOrEqual(3 * received);
    await other.sendto(proof, desk);
    await sleep(100);
    expect(to.peer(others).stats().isProven).toBe(true);
  });
});

// With these seeds, datagrams of one request were lost so often in a row that it had no answer within 10 s.
test.each([270, 310, 326, 338, 455, 484, 719, 744])(
  "with seed %d, each request is answered within 10 s although 3 of 10 datagrams are lost",
  async (seed) => {
    await between(
      { latencyMs: 5, lossRatio: 0.3 },
      async ({ camera, desk: to }) => {
        to.serve(({ data }) => data);
        for (const query of ["0000", "0001", "0002"]) {
          expect((await camera.request(query, desk)).data.toString()).toBe(query);
        }
      },
      { seed },
    );
  },
);

function kindOf(payload: Uint8Array): number {
  return (payload[1] as number) & 15;
}
