import { Address } from "datagram";
import { expect, test } from "vitest";

import { Refusals } from "../../src/register/refusals.js";
import { report } from "../../src/register/report.js";

const nothing = { sent: { datagrams: 0, bytes: 0 }, received: { datagrams: 0, bytes: 0 } };

test("refusals are counted for at most 1,024 destinations, and the 8 largest are named", () => {
  const refusals = new Refusals();
  for (let port = 1; port <= 2000; port++) {
    const destination = new Address("10.0.0.7", port) as never;
    for (let count = port > 1000 ? 2 : 1; count > 0; count--)
      refusals.add({ destination, code: "ECONNREFUSED" });
    refusals.add({ destination, code: "EHOSTUNREACH" });
  }
  expect(refusals.largest).toHaveLength(8);
  expect(refusals.largest[0]).toEqual({ destination: "10.0.0.7:1001", count: 2 });
  expect(refusals.largest.every(({ count }) => count === 2)).toBe(true);
});

test("the report names refusals, and counts the other ICMP errors by their code", () => {
  const totals = {
    ...nothing,
    droppedKernel: 40,
    droppedQueue: 0,
    unreachable: { ECONNREFUSED: 5, EHOSTUNREACH: 1 },
    sendErrors: {},
  };
  const text = report(totals as never, [{ destination: "10.0.0.7:514", count: 3 }]);
  expect(text).toBe(
    "datagram: 0 sent, 0 received, 40 dropped: receive buffer full (sysctl net.core.rmem_max), " +
      "3 nobody listening at 10.0.0.7:514, 2 ICMP errors ECONNREFUSED, 1 ICMP errors EHOSTUNREACH\n",
  );
});
