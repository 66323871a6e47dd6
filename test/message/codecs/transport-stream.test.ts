import { expect, test } from "vitest";

import { captureVideo, withoutFfmpeg } from "./tools.js";

test("with pkt_size=1316, each datagram of ffmpeg's transport stream has whole packets, and needs no codec", async ({
  skip,
}) => {
  if (withoutFfmpeg !== undefined) skip(withoutFfmpeg);
  const datagrams = await captureVideo(20, "-f", "mpegts", "udp://127.0.0.1:PORT?pkt_size=1316");
  expect(datagrams.length).toBeGreaterThan(20);
  for (const datagram of datagrams) {
    expect(datagram.length % 188).toBe(0);
    for (let at = 0; at < datagram.length; at += 188) expect(datagram[at]).toBe(0x47);
  }
});
