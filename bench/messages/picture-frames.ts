/** The datagrams of one picture, as `messages()` sends them. */
import { type SendMode, messages } from "datagram/message";
import { Network } from "datagram/sim";

import { pattern } from "./scenes.js";

/** Bytes of a picture. */
export const pictureBytes = 30_000;
/** `bench/peers/cameras.c` writes the number of the picture here. */
const numberBytes = 8;
/** The window has grown by then, so that a picture leaves in one burst. */
const picturesBefore = 8;

/** The datagrams of a picture that begins with zeros, in the order in which they leave. */
export async function pictureFrames(
  mode: SendMode,
  parity: number,
  seed: number,
): Promise<readonly Buffer[]> {
  const network = new Network({ seed });
  const [camera, desk] = [
    network.host("camera", { address: "10.0.0.1" }),
    network.host("desk", { address: "10.0.0.2" }),
  ];
  network.link(camera, desk, { latencyMs: 5 });
  return await network.run(async () => {
    const [s, r] = [camera.socket(), desk.socket()];
    await r.bind([desk.address, 9000]);
    void (async () => {
      for await (const _ of messages(r));
    })();
    const data = pattern(pictureBytes, seed).fill(0, 0, numberBytes);
    const m = messages(s);
    let frames: Buffer[] = [];
    s.tap(({ direction, data: datagram }) => {
      if (direction === "out") frames.push(datagram);
    });
    for (let picture = 0; picture <= picturesBefore; picture++) {
      frames = [];
      await m.send(data, [desk.address, 9000], { mode, parity });
      await new Promise((done) => setTimeout(done, 100));
    }
    return frames;
  });
}
