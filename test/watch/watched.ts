/** What the tests of the server share. */

import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";

import { socket } from "datagram";
import { type Watch, type WatchOptions, watch } from "datagram/watch";
import { WebSocket } from "ws";
import type { TestContext } from "vitest";

/** A watched socket whose datagrams are read, its page, and another socket. All of them are closed after the test. */
export async function watched(t: TestContext, options: WatchOptions = {}) {
  const s = socket();
  await s.bind(["127.0.0.1", 0]);
  const page = await watch(s, options);
  t.onTestFinished(async () => {
    await page.close();
    await s.close();
  });
  const drain = async (): Promise<never> => {
    for (;;) await s.recvMany(64);
  };
  // It ends when the socket is closed.
  drain().catch(() => undefined);
  const peer = socket();
  await peer.bind(["127.0.0.1", 0]);
  t.onTestFinished(() => peer.close());
  return { s, page, peer, at: s.getsockname() };
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** The answer to a request without a body. */
export async function get(
  page: Watch,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  method = "GET",
): Promise<Answer> {
  const { host, port } = page.address;
  const sent = request({ host, port, path, method, headers }).end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  let text = "";
  for await (const part of response) text += String(part);
  return { status: response.statusCode ?? 0, headers: response.headers, text };
}

/** The status that the upgrade to a WebSocket is refused with; 101 if it is not. */
export async function upgrade(page: Watch, headers: Readonly<Record<string, string>>, path = "/socket") {
  const client = new WebSocket(`ws://127.0.0.1:${page.address.port}${path}`, { headers });
  return await new Promise<number>((resolve) => {
    client.on("unexpected-response", (_, { statusCode = 0 }) => resolve(statusCode));
    client.on("open", () => {
      client.close();
      resolve(101);
    });
    client.on("error", () => undefined);
  });
}
