import type { Endpoint } from "../../core/address.js";
import type { LedgerEvent } from "../../core/driver.js";
import { codeOf } from "../../core/errno.js";
import { icmpKind } from "../../core/icmp.js";
import { type Addon, nameBytes, reportNumbers, reportsHeadNumbers } from "./addon.js";
import type { Names } from "./names.js";

/** Takes what the addon was told by ICMP since it was asked last. `peer` is who is meant where the kernel kept no address. */
export function takeReports({ reports }: Addon, names: Names, peer: Endpoint | undefined): LedgerEvent[] {
  const { numbers, names: reported } = reports;
  const count = numbers[0] ?? 0;
  numbers[0] = 0;
  const events: LedgerEvent[] = [];
  for (let index = 0; index < count; index++) {
    const start = reportsHeadNumbers + index * reportNumbers;
    const [error = 0, version = 0, type = 0, code = 0] = numbers.subarray(start, start + reportNumbers);
    const about = endpointAt(reported, names, index * 2);
    const destination = !about || peer?.equals(about) === true ? peer : about;
    const from = endpointAt(reported, names, index * 2 + 1)?.host;
    const kind = version === 0 ? undefined : icmpKind(version === 4 ? 4 : 6, type, code);
    if (codeOf(error) === "EMSGSIZE") events.push({ type: "tooBig", destination, from });
    else events.push({ type: "unreachable", report: { destination, code: codeOf(error), kind, from } });
  }
  return events;
}

/** The MTU over which this host refused the last send; `undefined` where it said none. */
export function refusedMtu({ reports }: Addon): number | undefined {
  const mtu = reports.numbers[1];
  return mtu === 0 ? undefined : mtu;
}

/** Takes the errno that the next call about the connected peer is to fail with; 0 where there is none. */
export function takePeerError({ reports }: Addon): number {
  const errno = reports.numbers[2] ?? 0;
  reports.numbers[2] = 0;
  return errno;
}

function endpointAt(reported: Buffer, names: Names, index: number): Endpoint | undefined {
  const start = index * nameBytes;
  return reported.readUInt16LE(start) === 0 ? undefined : names.read(reported, start);
}
