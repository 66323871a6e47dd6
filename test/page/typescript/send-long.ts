/** Not on the page: sends a datagram longer than its receivers ask for, and a short one. */

import { AF_INET, SOCK_DGRAM, socket } from "datagram";

const [host = "", port = 0] = process.argv.slice(2);

await using s = socket(AF_INET, SOCK_DGRAM);
await s.sendto("a".repeat(1024) + "b".repeat(976), [host, Number(port)]);
await s.sendto("hello", [host, Number(port)]);
