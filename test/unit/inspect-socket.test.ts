import { inspect } from "node:util";

import { socket } from "datagram";
import { expect, test } from "vitest";

test("console.log of a socket shows its driver and its addresses, also after close", async () => {
  const [s, peer] = [socket(), socket()];
  const { driver } = s;
  try {
    expect(inspect(s)).toBe(`Socket { driver: '${driver}', local: '0.0.0.0:0' }`);
    await peer.bind(["127.0.0.1", 0]);
    expect(inspect(peer)).toBe(`Socket { driver: '${driver}', local: '${String(peer.getsockname())}' }`);
    await s.connect(peer.getsockname());
    expect(inspect({ s })).toContain(`peer: '${String(peer.getsockname())}'`);
  } finally {
    await Promise.all([s.close(), peer.close()]);
  }
  expect(inspect(s)).toBe(`Socket { driver: '${driver}', closed: true }`);
});

test("JSON of a socket has what console.log shows", async () => {
  const s = socket();
  const { driver } = s;
  try {
    expect(JSON.parse(JSON.stringify({ s }))).toEqual({ s: { driver, local: "0.0.0.0:0" } });
    expect(JSON.stringify(new Proxy(s, {}))).toBe("{}");
  } finally {
    await s.close();
  }
  expect(JSON.parse(JSON.stringify(s))).toEqual({ driver, closed: true });
});

test("console.log of a proxy of a socket throws nothing", async () => {
  const s = socket();
  try {
    expect(inspect(new Proxy(s, {}))).toContain("Socket");
    expect(inspect(Object.create(s))).toContain("Socket");
  } finally {
    await s.close();
  }
});
