import { AF_INET, OSError, SOCK_DGRAM, socket } from "datagram";

const [host = "192.168.1.20", port = 9000] = process.argv.slice(2);

await using s = socket(AF_INET, SOCK_DGRAM);
s.settimeout(2.0); // 2 s reply window
await s.sendto("ping", [host, Number(port)]);
try {
  const [reply] = await s.recvfrom(64);
  console.log("reply:", reply.toString());
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.log("no reply in 2 s -- packet lost?");
}
