/** The counters of the host, in the form in which Linux writes them. */

import { describe, expect, test } from "vitest";

import { moreThan, parseHostCounts } from "../../src/kernel/host-counts.js";

const snmp = `Ip: Forwarding DefaultTTL ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs
Ip: 2 64 3 1900 1 87 0
Icmp: InMsgs InErrors
Icmp: 5 6
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors
Udp: 81 46 12 9 11 0
UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors
UdpLite: 1 2 3 4 5 6
`;
const snmp6 = `Ip6InReceives                   \t24
Ip6ReasmFails                   \t7
Udp6InErrors                    \t5
Udp6RcvbufErrors                \t4
UdpLite6RcvbufErrors            \t99
`;
const all = {
  IpReasmFails: 87,
  Ip6ReasmFails: 7,
  UdpInErrors: 12,
  Udp6InErrors: 5,
  UdpRcvbufErrors: 11,
  Udp6RcvbufErrors: 4,
};
const none = {
  IpReasmFails: undefined,
  Ip6ReasmFails: undefined,
  UdpInErrors: undefined,
  Udp6InErrors: undefined,
  UdpRcvbufErrors: undefined,
  Udp6RcvbufErrors: undefined,
};

describe("the counters of the host", () => {
  test("counters are found by the names of their columns, with any other columns between them", () => {
    expect(parseHostCounts(snmp, snmp6)).toEqual(all);
  });

  // semantics: stats-host
  test("counters that are missing are undefined, and not 0", () => {
    expect(parseHostCounts("", "")).toEqual(none);
    expect(parseHostCounts(snmp, "")).toEqual({
      ...all,
      Ip6ReasmFails: undefined,
      Udp6InErrors: undefined,
      Udp6RcvbufErrors: undefined,
    });
    expect(parseHostCounts("Ip: ReasmFails\n", "Ip6ReasmFails\n")).toEqual(none);
    expect(parseHostCounts("Ip: ReasmFails\nUdp: 7\nUdp: InErrors\nUdp: -1", "Ip6ReasmFails x1")).toEqual(
      none,
    );
  });

  test("counters whose number is too large are undefined", () => {
    expect(parseHostCounts(`Udp: InErrors\nUdp: ${"9".repeat(30)}`, "").UdpInErrors).toBeUndefined();
  });

  test("counts are differences from the first reading, and never below 0", () => {
    const later = { ...all, IpReasmFails: 100, UdpInErrors: 2 };
    expect(moreThan(parseHostCounts(snmp, snmp6), later)).toEqual({
      IpReasmFails: 13,
      Ip6ReasmFails: 0,
      UdpInErrors: 0,
      Udp6InErrors: 0,
      UdpRcvbufErrors: 0,
      Udp6RcvbufErrors: 0,
    });
    expect(moreThan(parseHostCounts(snmp, ""), all).Ip6ReasmFails).toBeUndefined();
  });
});
