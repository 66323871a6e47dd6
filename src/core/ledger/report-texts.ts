/** Sentences about losses, for people. The command and the live page show them. */

import type { Address } from "../address/address.js";
import type { Loss, PathMtuChange, Unreachable } from "./reports.js";

/** Why datagrams were dropped. */
export const lossTexts: Readonly<Record<Loss["cause"], string>> = {
  receiveBuffer: "the receive buffer was full",
  queue: "the queue of this process was full",
  close: "they were unread when the socket was closed",
};

/** The fields of an ICMP error that the text needs. */
export type Refusal = Pick<Unreachable, "code"> & Partial<Pick<Unreachable, "kind" | "from">>;

/** A text such as `nobody is listening on 127.0.0.1:9000 (port unreachable, from 127.0.0.1)`. */
export function refusalText({ code, kind, from }: Refusal, to: Address | undefined): string {
  const nobody = code === "ECONNREFUSED";
  // Other codes always have a reason.
  const said = kind ?? (nobody ? undefined : code);
  const why = said === undefined ? "" : ` (${said}${from === undefined ? "" : `, from ${from}`})`;
  const where = to ?? "one of the destinations";
  return nobody ? `nobody is listening on ${where}${why}` : `${where} cannot be reached${why}`;
}

/** A text such as `10.0.0.1 dropped a datagram to 10.0.1.2:9000 that is too big: …`. */
export function narrowText({ destination, mtu, maxPayload, from }: PathMtuChange): string {
  const what =
    from === undefined
      ? `the path to ${destination} has changed`
      : `${from} dropped a datagram to ${destination} that is too big`;
  return `${what}: the MTU there is ${mtu}, ${maxPayload} bytes go in one packet, and more goes in fragments from now on`;
}
