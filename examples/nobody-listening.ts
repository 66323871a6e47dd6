import { once } from "node:events";

import { AF_INET, OSError, SOCK_DGRAM, type Unreachable, socket } from "datagram";

const [host = "127.0.0.1", port = 9000] = process.argv.slice(2);
const to = [host, Number(port)] as const;

// One socket for many peers: the news is an event, and no call fails for it.
await using s = socket(AF_INET, SOCK_DGRAM);
const news = once(s, "unreachable") as Promise<[Unreachable]>;
await s.sendto("hello", to);
const [{ destination, kind, from }] = await news;
console.log(`${String(destination)} does not get it: ${kind}, says ${from}`);
console.log("counted:", s.stats().unreachable);

// A connected socket has one peer: the next call fails.
await using connected = socket(AF_INET, SOCK_DGRAM);
await connected.connect(to);
await connected.send("hello");
try {
  await connected.recv(64);
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.log(error.message);
}
