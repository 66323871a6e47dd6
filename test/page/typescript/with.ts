/** Not on the page: its `with`, and how many sockets this process has during and after the block. */

import { AF_INET, SOCK_DGRAM, socket } from "datagram";

import { keptSockets, openSockets } from "../../process/fixtures/descriptors.js";

const [host = "", port = 0] = process.argv.slice(2);
const address = [host, Number(port)] as const;
const kept = await keptSockets();

{
  await using s = socket(AF_INET, SOCK_DGRAM);
  await s.sendto("hello", address);
  console.log("inside", openSockets() - kept);
}
console.log("after", openSockets() - kept);

try {
  await using s = socket(AF_INET, SOCK_DGRAM);
  await s.sendto("hello", address);
  throw new TypeError();
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.log("after an error", openSockets() - kept);
}
