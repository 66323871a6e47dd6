import { availableParallelism } from "node:os";
import { Worker, isMainThread, threadId } from "node:worker_threads";

import { AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_REUSEPORT, socket } from "datagram";

const [host = "0.0.0.0", port = 9000] = process.argv.slice(2);

if (isMainThread) {
  for (let cpu = 0; cpu < availableParallelism(); cpu++) {
    new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
  }
} else {
  const s = socket(AF_INET, SOCK_DGRAM);
  s.setsockopt(SOL_SOCKET, SO_REUSEPORT, true); // the kernel passes each datagram to one of the sockets
  await s.bind([host, Number(port)]);
  console.log("worker", threadId, "listens on", `${s.getsockname()}`);

  while (true) {
    const [req, src] = await s.recvfrom(64);
    console.log("worker", threadId, "got", req.toString(), "from", `${src}`);
    await s.sendto(["ack: ", req], src);
  }
}
