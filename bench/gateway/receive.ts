/**
 * Receives datagrams in batches, as the gateway does, and does nothing with them: what is left of the speed of this program is what
 * storing costs. It prints its port, and then the number of datagrams so far for each line of its standard input.
 */
import { createInterface } from "node:readline";

import { SOL_SOCKET, SO_RCVBUF, socket } from "datagram";

const batchDatagrams = 256;

const s = socket();
s.setsockopt(SOL_SOCKET, SO_RCVBUF, 4 << 20);
await s.bind(["127.0.0.1", 0]);
process.stdout.write(`${s.getsockname().port}\n`);
let received = 0;
createInterface({ input: process.stdin }).on("line", () => process.stdout.write(`${received}\n`));
for await (const batch of s.batches({ max: batchDatagrams, timeoutMs: Infinity })) received += batch.length;
