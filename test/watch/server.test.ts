import { once } from "node:events";

import { socket } from "datagram";
import { watch } from "datagram/watch";
import { WebSocket } from "ws";
import { expect, test } from "vitest";

import { PageClient } from "./client.js";
import { get, upgrade, watched } from "./watched.js";

test("the first message says what is watched, and a peer appears with its counts", async (t) => {
  const { page, peer, at } = await watched(t);
  const client = new WebSocket(page.url.replace("http", "ws") + "socket", { origin: page.url.slice(0, -1) });
  const [first] = (await once(client, "message")) as [Buffer];
  client.close();
  expect(JSON.parse(first.toString())).toMatchObject({
    type: "hello",
    protocol: 1,
    sources: [{ id: 0, kind: "socket", label: String(at), simulated: false, sends: true }],
  });
  const shown = await PageClient.open(page);
  await peer.sendto("hello", at);
  await peer.sendto(Buffer.alloc(1500), at);
  const address = String(peer.getsockname());
  const { rows } = await shown.next("peers", ({ rows: all }) => all.some(({ datagrams }) => datagrams === 2));
  expect(rows).toMatchObject([{ address, datagrams: 2, bytes: 1505, minSize: 5, maxSize: 1500, large: 1 }]);
});

test("a list has the last datagrams that match, then new ones, and detail returns the payload", async (t) => {
  const { page, peer, at } = await watched(t);
  const shown = await PageClient.open(page);
  await peer.sendto('{"t":21}', at);
  await peer.sendto("<script>alert(1)</script>", at);
  await shown.next("peers", ({ rows }) => rows.some(({ datagrams }) => datagrams === 2));
  shown.send({ type: "list", request: 7, live: true, text: "SCRIPT" });
  const { rows, request: number } = await shown.next("datagrams");
  expect(number).toBe(7);
  expect(rows).toMatchObject([
    { looks: "text", preview: "<script>alert(1)</script>", direction: "in", size: 25 },
  ]);
  await peer.sendto("no match", at);
  await peer.sendto("a script again", at);
  const next = await shown.next("datagrams", (message) => message.rows.length > 0);
  expect(next.rows.map(({ preview }) => preview)).toEqual(["a script again"]);
  const id = rows[0]?.id ?? -1;
  shown.send({ type: "detail", id });
  expect(await shown.frame()).toMatchObject({
    kind: 1,
    number: id,
    bytes: Buffer.from("<script>alert(1)</script>"),
  });
  shown.send({ type: "detail", id: 4_000_000_000 });
  expect(await shown.next("gone")).toEqual({ type: "gone", id: 4_000_000_000 });
});

test("the answer box sends to several addresses, and shows the reply, its time, and an error", async (t) => {
  const { page, peer } = await watched(t);
  const shown = await PageClient.open(page);
  const to = [String(peer.getsockname()), "[::1]:9"];
  shown.send({ type: "send", request: 3, source: 0, to, payload: { hex: "68 69" }, awaitMs: 60_000 });
  const [data, from] = await peer.recvfrom(100);
  expect(data.toString()).toBe("hi");
  await peer.sendto("ho", from);
  const results = [await shown.next("sent"), await shown.next("sent")].sort((a, b) => a.bytes - b.bytes);
  expect(results).toMatchObject([
    { request: 3, to: to[1], bytes: 0, error: expect.stringContaining("EAFNOSUPPORT") as string },
    { request: 3, to: to[0], bytes: 2 },
  ]);
  const reply = await shown.next("reply");
  expect(reply).toMatchObject({ request: 3, from: to[0] });
  expect(reply.afterMs).toBeGreaterThan(0);
  shown.send({ type: "detail", id: reply.datagram });
  expect((await shown.frame()).bytes.toString()).toBe("ho");
});

test("a reply to a name is that of its address, and a name without an address says so", async (t) => {
  const { page, peer } = await watched(t);
  const shown = await PageClient.open(page);
  const to = [`localhost:${peer.getsockname().port}`, "no-such-host.invalid:9"];
  shown.send({ type: "send", request: 3, source: 0, to, payload: { text: "hi" }, awaitMs: 60_000 });
  const [, from] = await peer.recvfrom(100);
  await peer.sendto("ho", from);
  expect(await shown.next("reply")).toMatchObject({ request: 3, from: to[0] });
  expect(await shown.next("sent", ({ bytes }) => bytes === 0)).toMatchObject({
    to: to[1],
    error: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN): /) as string,
  });
});

test("an ICMP error becomes one sentence and a count of the peer", async (t) => {
  const { page, peer, s } = await watched(t);
  if (!s.capabilities.icmpErrors.available) t.skip("needs icmpErrors");
  const gone = peer.getsockname();
  await peer.close();
  const shown = await PageClient.open(page);
  await s.sendto("hello", gone);
  const loss = await shown.next("loss", ({ cause }) => cause !== "host");
  expect(loss).toMatchObject({ cause: "unreachable", atLeast: true, datagrams: 1 });
  expect(loss.sentence).toContain(`Nobody is listening on ${gone}`);
  const { rows } = await shown.next("peers", (message) => message.rows.some(({ icmp }) => icmp > 0));
  expect(rows).toMatchObject([{ address: String(gone), icmp: 1 }]);
});

test("a full receive buffer becomes one sentence with a minimum and what to do", async (t) => {
  const s = socket(undefined, undefined, { receiveBuffer: 4096 });
  await s.bind(["127.0.0.1", 0]);
  if (!s.capabilities.kernelDropCount.available) {
    await s.close();
    t.skip("needs kernelDropCount");
  }
  const page = await watch(s);
  const peer = socket();
  t.onTestFinished(async () => {
    await Promise.all([page.close(), s.close(), peer.close()]);
  });
  const shown = await PageClient.open(page);
  for (let sent = 0; sent < 50; sent++) await peer.sendto(Buffer.alloc(1000), s.getsockname());
  const loss = await shown.next("loss", ({ cause }) => cause !== "host");
  expect(loss).toMatchObject({ cause: "receiveBuffer", atLeast: true });
  expect(loss.sentence).toMatch(/^At least \d+ datagrams were lost: the receive buffer was full\.$/);
  expect(loss.advice).toBeDefined();
});

test("a full receive buffer of another socket is a loss of this machine, with no source", async (t) => {
  const { page, peer } = await watched(t);
  const other = socket(undefined, undefined, { receiveBuffer: 4096 });
  t.onTestFinished(() => other.close());
  await other.bind(["127.0.0.1", 0]);
  const shown = await PageClient.open(page);
  for (let sent = 0; sent < 50; sent++) await peer.sendto(Buffer.alloc(1000), other.getsockname());
  const loss = await shown.next("loss", ({ cause }) => cause === "host");
  expect(loss).toMatchObject({ atLeast: true, advice: "Some program reads too slowly for its buffer." });
  expect(loss.source).toBeUndefined();
  expect(loss.sentence).toMatch(
    /^On this machine, all sockets together: at least \d+ datagrams? found a full receive buffer/,
  );
});

test.for([
  ["the name of another site", "evil.example"],
  ["another address", "10.0.0.7:80"],
  ["a name that begins like ours", "localhost.evil.example"],
])("DNS rebinding: a Host header with %s is refused", async ([, host], t) => {
  const { page } = await watched(t);
  expect(await get(page, "/", { host: host as string })).toMatchObject({ status: 403 });
  expect(await upgrade(page, { host: host as string, origin: `http://${host}` })).toBe(403);
});

test("a WebSocket needs the origin of the page; a tunnel may have another port", async (t) => {
  const { page } = await watched(t);
  const { host } = new URL(page.url);
  expect(await upgrade(page, { origin: `http://${host}` })).toBe(101);
  expect(await upgrade(page, { host: "localhost:4444", origin: "http://localhost:4444" })).toBe(101);
  for (const origin of ["http://evil.example", "null", `https://${host}`, "http://localhost:1"])
    expect(await upgrade(page, { origin })).toBe(403);
  expect(await upgrade(page, {})).toBe(403);
  expect(await upgrade(page, { origin: `http://${host}` }, "/other")).toBe(404);
  expect(await upgrade(page, { origin: `http://${host}` }, "//")).toBe(404);
});

test("only the files of the page exist, and each answer has strict headers", async (t) => {
  const { page } = await watched(t);
  const { status, headers, text } = await get(page, "/");
  expect(status).toBe(200);
  expect(text).toContain("<!doctype html>");
  expect(headers).toMatchObject({
    "content-security-policy": expect.stringMatching(
      /^default-src 'none'; script-src 'self'; style-src 'self';/,
    ) as string,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
  });
  expect(String(headers["content-security-policy"])).not.toMatch(/unsafe|\*/);
  for (const path of [
    "/../package.json",
    "/%2e%2e/package.json",
    "/..%2f..%2fpackage.json",
    "//etc/passwd",
    "//",
    "/recordings/0.pcapng",
    "/recordings/../../x",
  ])
    expect((await get(page, path)).status).toBe(404);
  expect((await get(page, "/", {}, "DELETE")).status).toBe(405);
  expect(
    (await get(page, "/icon.svg", { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" })).status,
  ).toBe(403);
});

test("with a token, everything needs its cookie, and the address with the token sets it", async (t) => {
  const { page } = await watched(t, { token: true });
  expect(page.token).toMatch(/^[\w-]{22}$/);
  expect(page.url).toBe(`http://127.0.0.1:${page.address.port}/?token=${page.token}`);
  const { host } = new URL(page.url);
  for (const path of ["/", "/icon.svg", "/?token=wrong-wrong-wrong-wrong"])
    expect((await get(page, path)).status).toBe(401);
  expect(await upgrade(page, { origin: `http://${host}` })).toBe(401);
  const { headers, status } = await get(page, `/?token=${page.token}`);
  const [cookie = ""] = headers["set-cookie"] as string[];
  expect(status).toBe(200);
  expect(headers).toMatchObject({ refresh: "0; url=/" });
  expect(cookie).toMatch(/; HttpOnly; SameSite=Strict$/);
  const pair = cookie.split(";")[0] as string;
  expect((await get(page, "/", { cookie: `other=1; ${pair}` })).status).toBe(200);
  expect(await upgrade(page, { origin: `http://${host}`, cookie: pair })).toBe(101);
  expect(await upgrade(page, { origin: "http://evil.example", cookie: pair })).toBe(403);
});

test("a token is made for every host but loopback addresses", async (t) => {
  expect((await watched(t)).page.token).toBeUndefined();
  const { page } = await watched(t, { host: "0.0.0.0" });
  expect(page.token).toMatch(/^[\w-]{22}$/);
  await expect(watch(socket(), { token: "short" })).rejects.toThrow(/16 to 256 characters/);
});

test.for([
  ["{", /not JSON/],
  ["null", /not an object/],
  ["{}", /unknown type/],
  ['{"type":"constructor"}', /unknown type/],
  ['{"type":"detail","id":-1}', /"id"/],
  ['{"type":"detail","id":1e99}', /"id"/],
  ['{"type":"list","request":1,"live":true,"text":5}', /"text"/],
  [`{"type":"list","request":1,"live":true,"text":"${"x".repeat(300)}"}`, /"text"/],
  ['{"type":"pictures","peers":[0.5]}', /"peers"/],
  ['{"type":"send","request":1,"source":0,"to":[],"payload":{"text":""},"awaitMs":0}', /Name an address/],
  ['{"type":"send","request":1,"source":0,"to":["x"],"payload":{"text":""},"awaitMs":0}', /not an address/],
  [
    '{"type":"send","request":1,"source":0,"to":["127.0.0.1:9"],"payload":{"hex":"0"},"awaitMs":0}',
    /hex digits/,
  ],
  [
    '{"type":"send","request":1,"source":0,"to":["127.0.0.1:9"],"payload":{"text":"","hex":""},"awaitMs":0}',
    /"payload"/,
  ],
  [
    '{"type":"send","request":1,"source":9,"to":["127.0.0.1:9"],"payload":{"text":""},"awaitMs":0}',
    /Nothing can be sent/,
  ],
  [
    `{"type":"send","request":1,"source":0,"to":["127.0.0.1:9"],"payload":{"text":"${"x".repeat(70_000)}"},"awaitMs":0}`,
    /70000 bytes/,
  ],
  ['{"type":"seek","positionMs":1,"speed":-1}', /"speed"/],
] as const)("a wrong message of the page is refused: %s", async ([message, error], t) => {
  const { page } = await watched(t);
  const shown = await PageClient.open(page);
  shown.socket.send(message);
  expect((await shown.next("refused")).error).toMatch(error);
  shown.socket.send(Buffer.from([1, 2, 3]));
  expect((await shown.next("refused")).error).toMatch(/no binary frames/);
});

test("a signal closes the page, and wrong options are refused", async (t) => {
  const stop = new AbortController();
  const { page, s } = await watched(t, { signal: stop.signal });
  const shown = await PageClient.open(page);
  const closed = once(shown.socket, "close");
  stop.abort();
  await closed;
  await expect(watch(s, { signal: stop.signal })).rejects.toBe(stop.signal.reason);
  await expect(watch(5 as never)).rejects.toThrow(TypeError);
  await expect(watch(s, { ports: 1 } as never)).rejects.toThrow(/ports/);
  await expect(watch(s, { port: 70_000 })).rejects.toThrow(RangeError);
  const { page: other } = await watched(t);
  await expect(watch(s, { port: other.address.port })).rejects.toMatchObject({ code: "EADDRINUSE" });
});
