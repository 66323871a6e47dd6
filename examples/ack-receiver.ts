import { AF_INET, SOCK_DGRAM, socket } from "datagram";

const [host = "0.0.0.0", port = 9000] = process.argv.slice(2);

const s = socket(AF_INET, SOCK_DGRAM);
await s.bind([host, Number(port)]);

while (true) {
  const [req, src] = await s.recvfrom(64);
  console.log("got", req.toString(), "from", `${src}`);
  await s.sendto(["ack: ", req], src);
}
