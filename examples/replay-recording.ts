import { Network } from "datagram/sim";

// A recording of a camera. It would be a file of `datagram record` or of tcpdump. Here, another simulated network wrote it.
const field = new Network();
const camera = field.host("camera", { address: "192.168.1.7" });
field.link(camera, field.host("server", { address: "192.168.1.20" }));
await field.run(async () => {
  const s = camera.socket();
  for (let frame = 1; frame <= 50; frame++) {
    await s.sendto(`frame ${frame}`, ["192.168.1.20", 9000]);
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
});
const recording = field.trace.toPcapng();

// The test: the same datagrams at the same times, over a link that loses one in ten.
const network = new Network({ seed: 7 });
const server = network.host("server", { address: "10.0.0.1" });
await network.run(async () => {
  const s = server.socket();
  await s.bind(["0.0.0.0", 9000]);
  const replayed = network.replay(recording, { to: server, link: { lossRatio: 0.1, latencyMs: 5 } });
  let frames = 0;
  s.settimeout(1);
  try {
    for await (const _ of s) frames++;
  } catch {
    console.log(`no frame for 1 s, at ${s.clock.now()} ms`);
  }
  const { datagrams, hosts } = await replayed;
  console.log(`${datagrams} sent by ${[...hosts.keys()].join(", ")}, ${frames} arrived`);
});
