import { AF_INET, SOCK_DGRAM, socket } from "datagram";

const [host = "0.0.0.0", port = 9000] = process.argv.slice(2);

const s = socket(AF_INET, SOCK_DGRAM);
await s.bind([host, Number(port)]);

while (true) {
  const [request, src] = await s.recvfrom(1024);
  if (request.toString() === "ping") {
    await s.sendto("pong", src);
  }
}
