import dgram from "node:dgram";

const [port = "9000"] = process.argv.slice(2);
const s = dgram.createSocket({ type: "udp4", recvBufferSize: 1 << 20 });
s.on("error", (error) => {
  console.error(error.message);
  s.close();
});
s.on("listening", () => console.log(`listening on port ${s.address().port}`));
s.on("message", (data, from) => {
  console.log(`${data.toString()} from ${from.address}`);
  s.send(["ack: ", data], from.port, from.address);
});
s.bind(Number(port), "127.0.0.1");
