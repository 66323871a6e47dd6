/** A driver may lack the optional methods of `src/core/driver/driver.ts`: the calls that need them say so. */

import { expect, test } from "vitest";

import { socket } from "../contract/example/index.js";

const reason = "the example driver is a loopback in memory: the native driver has this";

test("without setBytes, getBytes and membership the calls fail with ENOTSUP, and the reason names another driver", async () => {
  await using s = socket();
  expect(() => s.setsockopt(1, 99, Buffer.alloc(4))).toThrow(
    expect.objectContaining({
      code: "ENOTSUP",
      syscall: "setsockopt",
      message: expect.stringContaining(reason) as string,
    }),
  );
  expect(() => s.getsockopt(1, 99, 4)).toThrow(
    expect.objectContaining({
      code: "ENOTSUP",
      syscall: "getsockopt",
      message: expect.stringContaining(reason) as string,
    }),
  );
  expect(() => s.addMembership("239.7.7.7")).toThrow(
    expect.objectContaining({
      code: "ENOTSUP",
      syscall: "addMembership",
      message: expect.stringContaining(
        "this driver has no multicast groups: the native driver has",
      ) as string,
    }),
  );
});

test("without counts and pathMtu, no count and no path MTU is known", async () => {
  await using s = socket();
  expect(s.stats()).toMatchObject({
    droppedKernel: undefined,
    systemCalls: undefined,
    receiveBuffer: undefined,
  });
  expect(s.pathMtu(["127.0.0.1", 9])).toBeUndefined();
});
