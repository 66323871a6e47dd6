import { AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_BROADCAST, socket } from "datagram";
import { collect } from "datagram/message";

const [host = "<broadcast>", port = "9000"] = process.argv.slice(2);
await using s = socket(AF_INET, SOCK_DGRAM);
s.setsockopt(SOL_SOCKET, SO_BROADCAST, true);
for (const { source, data } of await collect(s, "who?", [host, Number(port)])) {
  console.log(`${source} says ${data.toString()}`);
}
