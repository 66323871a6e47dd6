import { AF_INET, OSError, SOCK_DGRAM, socket } from "datagram";
import { request } from "datagram/message";

const [host = "127.0.0.1", port = "9000"] = process.argv.slice(2);
await using s = socket(AF_INET, SOCK_DGRAM);
try {
  const { data } = await request(s, "ping", [host, Number(port)], { timeoutMs: 10_000 });
  console.log("reply:", data.toString());
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.log(error.message);
}
