import { AF_INET, SOCK_DGRAM, socket } from "datagram";

const [host = "0.0.0.0", port = "9000"] = process.argv.slice(2);
const s = socket(AF_INET, SOCK_DGRAM);
await s.bind([host, Number(port)]);
console.log(`listening on ${s.getsockname()}`);
process.once("SIGTERM", () => void s.close()); // `docker stop` sends it

for await (const datagram of s) {
  console.log(`from ${datagram.source}`);
  await datagram.reply(`you are ${datagram.source}`);
}
