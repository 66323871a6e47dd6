import { AF_INET, SOCK_DGRAM, TimeoutError } from "datagram";
import { Network } from "datagram/sim";

const network = new Network({ seed: 3 });
const camera = network.host("camera", { address: "10.0.0.2" });
const desk = network.host("desk", { address: "10.0.0.1" });
network.link(desk, camera, { latencyMs: 25, lossRatio: 0.2 }); // both ways; { up, down } sets each

await network.run(async () => {
  const receiver = camera.socket(AF_INET, SOCK_DGRAM); // the same Socket
  await receiver.bind(["0.0.0.0", 9000]);
  void (async () => {
    for await (const datagram of receiver) await datagram.reply(["ack: ", datagram.data]);
  })();

  const s = desk.socket(AF_INET, SOCK_DGRAM);
  s.settimeout(2.0);
  for (let count = 1; count <= 4; count++) {
    await s.sendto(`ping ${count}`, ["camera", 9000]);
    try {
      const [reply] = await s.recvfrom(64);
      console.log("reply:", reply.toString());
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
      console.log("no reply in 2 s -- packet lost?");
    }
  }
});

console.log(network.trace.toString());
