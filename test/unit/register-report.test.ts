import { expect, test } from "vitest";

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
