/** How many datagrams one `recvMany` returns, in virtual time: no time passes during a call, so no time limit ends it. */

import { AF_INET, SOCK_DGRAM } from "datagram";
import { Network } from "datagram/sim";
import { expect, test } from "vitest";

import { pause } from "./tools.js";

test("each recvMany call returns max datagrams while so many are there, over several reads of the driver", async () => {
  const network = new Network({ seed: 1 });
  const host = network.host("host", { address: "10.0.0.1" });
  await network.run(async () => {
    const [sender, receiver] = [host.socket(AF_INET, SOCK_DGRAM), host.socket(AF_INET, SOCK_DGRAM)];
    await receiver.bind(["", 9000]);
    const payloads = Array.from({ length: 385 }, (_, index) => String(index));
    await sender.sendMany(payloads, ["10.0.0.1", 9000]);
    await pause(50);
    const calls: string[][] = [];
    for (let call = 0; call < 4; call++) {
      calls.push((await receiver.recvMany(100)).map(({ data }) => data.toString()));
    }
    expect(calls.map(({ length }) => length)).toEqual([100, 100, 100, 85]);
    expect(calls.flat()).toEqual(payloads);
  });
});
