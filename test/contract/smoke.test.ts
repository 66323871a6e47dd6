import { expect } from "vitest";

import { contract } from "./world.js";

contract("a datagram arrives as it was sent", async ({ bound, socket }) => {
  const receiver = await bound();
  await socket().sendto("hello", receiver.getsockname());
  const [data] = await receiver.recvfrom(64);
  expect(data.toString()).toBe("hello");
});
