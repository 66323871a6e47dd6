import type { Endpoint } from "../../core/address/address.js";
import type { LedgerEvent } from "../../core/driver/driver.js";
import { codeOf } from "../../core/errors/errno.js";
import { icmpKind } from "../../core/driver/icmp.js";
import type { Addon } from "./addon.js";
import { layout } from "./layout.js";
import type { Names } from "./socket-names.js";

const { errorQueueHead: head, icmpError: at, name } = layout;

/**
 * Removes and returns the ICMP errors that the addon has read.
 *
 * @param peer the connected peer. An error without an address is about this peer.
 */
export function readErrorQueue(
  { errorQueue }: Addon,
  names: Names,
  peer: Endpoint | undefined,
): LedgerEvent[] {
  const { numbers, names: reported } = errorQueue;
  const count = numbers[head.count] ?? 0;
  numbers[head.count] = 0;
  const events: LedgerEvent[] = [];
  for (let index = 0; index < count; index++) {
    const start = head.words + index * at.words;
    const error = numbers[start + at.error] ?? 0;
    const version = numbers[start + at.version] ?? 0;
    const about = endpointAt(reported, names, index * 2);
    const destination = !about || peer?.equals(about) === true ? peer : about;
    const from = endpointAt(reported, names, index * 2 + 1)?.host;
    const kind =
      version === 0
        ? undefined
        : icmpKind(version === 4 ? 4 : 6, numbers[start + at.type] ?? 0, numbers[start + at.code] ?? 0);
    if (codeOf(error) === "EMSGSIZE") events.push({ type: "tooBig", destination, from });
    else events.push({ type: "unreachable", report: { destination, code: codeOf(error), kind, from } });
  }
  return events;
}

/** The path MTU because of which this host refused the last send; `undefined` if it did not. */
export function refusedMtu({ errorQueue }: Addon): number | undefined {
  const mtu = errorQueue.numbers[head.refusedMtu];
  return mtu === 0 ? undefined : mtu;
}

/** Removes and returns the errno that the next call about the connected peer must fail with; 0 if there is none. */
export function takePeerError({ errorQueue }: Addon): number {
  const errno = errorQueue.numbers[head.peerError] ?? 0;
  errorQueue.numbers[head.peerError] = 0;
  return errno;
}

function endpointAt(reported: Buffer, names: Names, index: number): Endpoint | undefined {
  const start = index * name.bytes;
  return reported.readUInt16LE(start + name.family) === 0 ? undefined : names.read(reported, start);
}
