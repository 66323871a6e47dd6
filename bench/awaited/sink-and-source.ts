/** The ends that are not measured, on threads of their own: `sink` counts what arrives, `source` fills a receiver. */
import dgram from "node:dgram";
import { once } from "node:events";
import { parentPort, workerData } from "node:worker_threads";

/** After this time without a datagram, in milliseconds, missing ones count as lost. */
const quietMs = 500;

if (!parentPort) throw new Error("this file is for a worker");
const parent = parentPort;
/** The value 0 makes the other side wait. */
const { gate, burst, port } = workerData as { gate: Int32Array; burst: number; port: number };
const socket = dgram.createSocket({ type: "udp4", recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });
socket.bind(0, "127.0.0.1");
await once(socket, "listening");
if (process.argv[2] === "sink") sink();
else source();

/** Sends its port. At each message it answers, waits until the gate opens, reads, and sends the number of datagrams. */
function sink(): void {
  let count = 0;
  let late: NodeJS.Timeout | undefined;
  const tell = (): void => {
    clearTimeout(late);
    parent.postMessage(count);
    count = 0;
  };
  socket.on("message", () => {
    if (++count === burst) tell();
  });
  parent.on("message", () => {
    parent.postMessage("held");
    Atomics.wait(gate, 0, 0, 10_000);
    Atomics.store(gate, 0, 0);
    late = setTimeout(tell, quietMs);
  });
  parent.postMessage(socket.address().port);
}

/** At each message it sends a burst to its port, and opens the gate when the whole burst is sent. */
function source(): void {
  const payload = Buffer.alloc(64, "x");
  parent.on("message", () => {
    let left = burst;
    for (let each = 0; each < burst; each++) {
      socket.send(payload, port, "127.0.0.1", () => {
        if (--left > 0) return;
        Atomics.store(gate, 0, 1);
        Atomics.notify(gate, 0);
      });
    }
  });
}
