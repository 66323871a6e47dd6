import { createDgram } from "datagram/dgram";
import { Network } from "datagram/sim";

const network = new Network({ seed: 3 });
const a = network.host("a", { address: "10.0.0.1" });
const b = network.host("b", { address: "10.0.0.2" });
network.link(a, b, { lossRatio: 0.2, latencyMs: 30 });

await network.run(async () => {
  const server = createDgram(b).createSocket("udp4");
  server.on("message", (data, from) => server.send(["ack: ", data], from.port, from.address));
  server.bind(9000);

  const client = createDgram(a).createSocket("udp4");
  client.on("message", (data) => console.log(data.toString()));
  for (const word of ["one", "two", "three", "four"]) client.send(word, 9000, "b");
  await new Promise((done) => setTimeout(done, 1000)); // in virtual time
});
