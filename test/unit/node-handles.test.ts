import dgram from "node:dgram";
import { once } from "node:events";
import { readdirSync } from "node:fs";

import { expect, test } from "vitest";

import { AF_INET } from "../../src/core/constants.js";
import { nativeSupport } from "../../src/kernel/native/stack.js";
import { type NodeHandle, openHandle } from "../../src/kernel/node-handles.js";

const { reason } = nativeSupport();

test.skipIf(reason !== undefined)(
  "if a size is wrong, openHandle closes its own descriptor once, and leaves the handle open",
  async () => {
    const owner = dgram.createSocket("udp4").bind(0, "127.0.0.1");
    await once(owner, "listening");
    const { _handle: handle } = owner as unknown as { _handle: NodeHandle };
    const before = readdirSync("/proc/self/fd").length;
    const open = (): unknown => openHandle(handle, AF_INET, { receiveBuffer: 3e9 }, () => undefined);
    expect(open).toThrow("SO_RCVBUF must be a whole number from 0 to 1073741823, not 3000000000");
    await expect.poll(() => readdirSync("/proc/self/fd").length).toBe(before);
    expect(owner.address().address).toBe("127.0.0.1");
    owner.close();
  },
);
