/** The rights of `docs/fleet.md`: with them everything works, and without one of them an error names the subject. */

import { readFileSync } from "node:fs";

import { connect } from "@nats-io/transport-node";
import { type TestContext, describe, expect, test } from "vitest";

import { socket } from "datagram";
import { type Gateway, consume, gateway, peerToken } from "datagram/gateway";
import { datagram } from "../cli/program.js";
import { unusedPort } from "../ports.js";
import { NatsServer, noServer } from "./nats.js";
import { bound, until } from "./sending.js";

const file = readFileSync("examples/nats/permissions.conf", "utf8");

/** A server, the port of its gateway, and the URL of a user. */
interface Setting {
  readonly server: NatsServer;
  readonly port: number;
  readonly url: (user: string) => string;
}

test("the page shows the configuration as it is", () => {
  const page = readFileSync("docs/fleet.md", "utf8");
  const [, shown] = /```text\n(# Users of nats-server[^`]*)```/.exec(page) ?? [];
  expect(shown).toBe(file);
});

/** The variables of the file, all with one value. */
function passwords(value: string): NodeJS.ProcessEnv {
  return { GATEWAY: value, ANSWERS: value, READER: value };
}

/** A server with the rights of the page, less one, which has this one in its place. */
async function serverWithout(
  t: TestContext,
  user = "",
  list = "",
  right = "",
  { instead, rights = file }: { instead?: string; rights?: string } = {},
): Promise<Setting> {
  const port = unusedPort();
  let [inUser, inList] = ["", ""];
  let removed = 0;
  const lines = rights.split("\n").flatMap((line) => {
    inUser = /user: (\w+)/.exec(line)?.[1] ?? inUser;
    inList = /(publish|subscribe): \[/.exec(line)?.[1] ?? inList;
    const isIt = inUser === user && inList === list && line.trim().startsWith(`"${right}"`);
    removed += Number(isIt);
    if (!isIt) return line;
    return instead === undefined ? [] : line.replace(right, instead);
  });
  expect(removed).toBe(right === "" ? 0 : 1);
  const settings = lines.join("\n").replaceAll(".9000.", `.${port}.`);
  const server = await NatsServer.start({ settings, variables: passwords('"secret"') });
  t.onTestFinished(() => server.close());
  return { server, port, url: (name) => server.url.replace("//", `//${name}:secret@`) };
}

async function start(
  t: TestContext,
  { port, url }: Setting,
  client = {},
  host = "127.0.0.1",
): Promise<Gateway> {
  const s = socket();
  t.onTestFinished(() => s.close());
  await s.bind([host, port]);
  const running = await gateway(s, { nats: url("gateway"), stream: "cameras", create: true, client });
  t.onTestFinished(() => running.close().catch(() => undefined));
  return running;
}

/** Sends a datagram to the gateway, and requests an answer to its sender. */
async function answer(t: TestContext, running: Gateway, { server, port }: Setting): Promise<unknown> {
  const device = await bound(t);
  await device.sendto("hello", ["127.0.0.1", port]);
  await until(running, ({ stored }) => stored === 1);
  const servers = server.url.slice("nats://".length);
  const nats = await connect({ servers, user: "answers", pass: "secret" });
  t.onTestFinished(() => nats.close());
  const subject = `datagram.${port}.${peerToken(device.getsockname())}.reply`;
  const told = nats.request(subject, "reset", { timeout: 60_000 }).then(
    (message) => message.json(),
    () => undefined,
  );
  expect(String((await device.recvfrom(100))[0])).toBe("reset");
  return told;
}

async function read({ url }: Setting, port?: number): Promise<string[]> {
  const texts = [];
  for await (const { data } of consume({ nats: url("reader"), stream: "cameras", until: "now", port }))
    texts.push(String(data));
  return texts;
}

/** An error that names what is forbidden. */
function forbids(call: string, text: string): unknown {
  return expect.objectContaining({
    code: "EACCES",
    syscall: call,
    message: expect.stringContaining(text) as string,
  });
}

describe.skipIf(noServer !== undefined)("the rights of the page", () => {
  test.for([
    ["GATEWAY", "gateway", '"s3cret, 7e5 # x"', "s3cret, 7e5 # x"],
    ["ANSWERS", "answers", '"123"', "123"],
    ["READER", "reader", "s3cret", "s3cret"],
  ] as const)(
    "take the password of the environment, and not the text $%s",
    async ([name, user, value, pass], t) => {
      const variables = { ...passwords("other"), [name]: value };
      const server = await NatsServer.start({ settings: file, variables });
      t.onTestFinished(() => server.close());
      const servers = server.url.slice("nats://".length);
      const nats = await connect({ servers, user, pass });
      await nats.close();
      for (const wrong of [`$${name}`, "other"])
        await expect(connect({ servers, user, pass: wrong })).rejects.toThrow("Authorization Violation");
    },
  );

  test("are enough to store, to answer and to read", async (t) => {
    const setting = await serverWithout(t);
    const running = await start(t, setting);
    expect(await answer(t, running, setting)).toMatchObject({ sent: true });
    expect(await read(setting)).toEqual(["hello"]);
    expect(await read(setting, setting.port)).toEqual(["hello"]);
  });

  test("are enough with inboxes of its own, which nobody else may subscribe to", async (t) => {
    const rights = file.replace('"_INBOX.>"                        # ack', '"_INBOX_gateway.>"  # ack');
    expect(rights).not.toBe(file);
    const setting = await serverWithout(t, "", "", "", { rights });
    const running = await start(t, setting, { inboxPrefix: "_INBOX_gateway" });
    expect(await answer(t, running, setting)).toMatchObject({ sent: true });
  });

  test.for([
    ["publish", "$JS.API.STREAM.INFO.cameras"],
    ["publish", "$JS.API.STREAM.CREATE.cameras"],
    ["subscribe", "_INBOX."],
  ] as const)("without one a gateway does not start: %s %s", async ([list, subject], t) => {
    const setting = await serverWithout(t, "gateway", list, subject === "_INBOX." ? "_INBOX.>" : subject);
    await expect(start(t, setting)).rejects.toEqual(forbids("gateway", `${list} to ${subject}`));
  });

  test.for([
    ["publish", "gateways.>", "gateways.all"],
    ["subscribe", "gateways.>", "gateways.all"],
    ["subscribe", "*.reply", "*.reply"],
  ] as const)("without one a gateway ends: %s %s", async ([list, right, subject], t) => {
    const setting = await serverWithout(t, "gateway", list, `datagram.9000.${right}`);
    const running = await start(t, setting);
    await expect(running.closed).rejects.toEqual(forbids("gateway", `datagram.${setting.port}.${subject}`));
  });

  test("without one for answers, the command names --no-answers", async (t) => {
    const { port, url } = await serverWithout(t, "gateway", "subscribe", "datagram.9000.gateways.>");
    const args = ["gateway", String(port), "--stream", "cameras", "--create", "--nats", url("gateway")];
    const { code, stderr } = await datagram(t, args).ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/gateways\.all, or switch answers off.*: --no-answers does that\n$/);
  });

  test("without the one to ask others, a gateway ends when it asks", async (t) => {
    const setting = await serverWithout(t, "gateway", "publish", "datagram.9000.gateways.>", {
      instead: "datagram.9000.gateways.all",
    });
    const [one, two] = [await start(t, setting), await start(t, setting, {}, "127.0.0.2")];
    const servers = setting.server.url.slice("nats://".length);
    const nats = await connect({ servers, user: "answers", pass: "secret" });
    t.onTestFinished(() => nats.close());
    nats.publish(`datagram.${setting.port}.10-0-0-7_9000.reply`, "unknown");
    await expect(Promise.race([one.closed, two.closed])).rejects.toEqual(
      forbids("gateway", `datagram.${setting.port}.gateways.`),
    );
  });

  test("without the one to publish, datagrams are refused", async (t) => {
    const setting = await serverWithout(t, "gateway", "publish", "datagram.9000.*");
    const running = await start(t, setting);
    await (await bound(t)).sendto("hello", ["127.0.0.1", setting.port]);
    await until(running, ({ refused }) => refused === 1);
    expect(running.stats().refusedBy).toEqual({
      "the server does not let this user publish to the subject": 1,
    });
  });

  test("without the one to tell requesters, the answer is sent, and a warning says so", async (t) => {
    const setting = await serverWithout(t, "gateway", "publish", "_INBOX.>");
    const running = await start(t, setting);
    const warned = new Promise<void>((resolve) => {
      const look = (warning: Error & { code?: string }): void => {
        if (warning.code === "ANSWER_UNTOLD") resolve();
      };
      process.on("warning", look);
      t.onTestFinished(() => void process.off("warning", look));
    });
    // Its requester waits for a minute, and the test does not.
    const answered = answer(t, running, setting).catch(() => undefined);
    await Promise.race([warned, answered]);
    await warned;
  });

  test.for([
    ["publish", "$JS.API.STREAM.INFO.cameras", "$JS.API.STREAM.INFO.cameras"],
    ["publish", "$JS.API.STREAM.MSG.GET.cameras", "$JS.API.STREAM.MSG.GET.cameras"],
    ["publish", "$JS.API.CONSUMER.CREATE.cameras", "$JS.API.CONSUMER.CREATE.cameras"],
    ["publish", "$JS.API.CONSUMER.MSG.NEXT.cameras.*", "$JS.API.CONSUMER.MSG.NEXT.cameras."],
  ] as const)("without one a reader fails: %s %s", async ([list, right, subject], t) => {
    const setting = await serverWithout(t, "reader", list, right);
    const running = await start(t, setting);
    await (await bound(t)).sendto("hello", ["127.0.0.1", setting.port]);
    await until(running, ({ stored }) => stored === 1);
    await expect(read(setting, setting.port)).rejects.toEqual(forbids("consume", `${list} to ${subject}`));
  });

  test.for([true, false])("buckets with a peer need $JS.API.STREAM.MSG.GET: %s", async (isAllowed, t) => {
    const right = "$JS.API.STREAM.MSG.GET.cameras";
    const setting = await (isAllowed ? serverWithout(t) : serverWithout(t, "reader", "publish", right));
    await start(t, setting);
    const options = { nats: setting.url("reader"), stream: "cameras", buckets: 8, peer: "10.0.0.7:9000" };
    const reading = consume({ ...options, port: setting.port });
    t.onTestFinished(() => void reading.return());
    const opened = expect(reading.open());
    if (isAllowed) await opened.resolves.toBeUndefined();
    else await opened.rejects.toEqual(forbids("consume", `publish to ${right}`));
  });
});
