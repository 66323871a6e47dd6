import { setTimeout } from "node:timers/promises";

import { AF_INET, OSError, SOCK_DGRAM, socket } from "datagram";

const [host = "127.0.0.1", port = 9000] = process.argv.slice(2);
const to = [host, Number(port)] as const;

// One socket for many peers: the ICMP error is an event, and no call fails.
await using s = socket(AF_INET, SOCK_DGRAM);
s.on("unreachable", ({ destination, kind, from }) => {
  console.log(`${String(destination)} does not get it: ${kind}, says ${from}`);
});
await s.sendto("hello", to);
await setTimeout(500); // the error takes as long as an answer would
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
