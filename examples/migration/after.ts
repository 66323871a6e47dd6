import { AF_INET, SOCK_DGRAM, socket } from "datagram";

const [port = "9000"] = process.argv.slice(2);
const s = socket(AF_INET, SOCK_DGRAM, { receiveBuffer: 1 << 20 });
await s.bind(["127.0.0.1", Number(port)]); // rejects if the port is taken
console.log(`listening on port ${s.getsockname().port}`);
for await (const { data, source } of s) {
  console.log(`${data.toString()} from ${source.host}`);
  await s.sendto(["ack: ", data], source);
}
