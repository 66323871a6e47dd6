import { Address } from "datagram";
import { expect, test } from "vitest";

import { Refusals } from "../../src/register/refusals.js";
import { report } from "../../src/register/report.js";

const nothing = { datagrams: 0, bytes: 0 };
const totals = {
  sent: nothing,
  received: nothing,
  truncated: 0,
  droppedKernel: undefined,
  droppedQueue: 0,
  unreachable: undefined,
  tooBig: 0,
  fragmented: undefined,
  sendErrors: {},
} as unknown as Parameters<typeof report>[0];

test("a report of nothing has the datagrams that were sent and received", () => {
  expect(report(totals)).toBe("datagram: 0 sent, 0 received\n");
});

test("a report names each loss with its count, and unknown counts are left out", () => {
  const text = report({
    ...totals,
    received: { datagrams: 2113, bytes: 1 },
    droppedKernel: 40,
    droppedQueue: 2,
    unreachable: { ECONNREFUSED: 3 },
    sendErrors: { EMSGSIZE: 1 },
  });
  expect(text).toBe(
    "datagram: 0 sent, 2,113 received, 40 dropped: receive buffer full (sysctl net.core.rmem_max), 2 dropped: read ahead, and never taken, 3 ICMP errors ECONNREFUSED, 1 sends failed with EMSGSIZE\n",
  );
});

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
  const unreachable = { ECONNREFUSED: 5, EHOSTUNREACH: 1 };
  const text = report({ ...totals, droppedKernel: 40, unreachable }, [
    { destination: "10.0.0.7:514", count: 3 },
  ]);
  expect(text).toBe(
    "datagram: 0 sent, 0 received, 40 dropped: receive buffer full (sysctl net.core.rmem_max), " +
      "3 nobody listening at 10.0.0.7:514, 2 ICMP errors ECONNREFUSED, 1 ICMP errors EHOSTUNREACH\n",
  );
});
