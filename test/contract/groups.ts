/** Multicast groups that stay on this host. */

import { AF_INET, IPPROTO_IP, IP_MULTICAST_IF, type Socket } from "datagram";

import type { World } from "./world.js";

/** A socket on every interface, a socket that sends multicast over loopback, and a group that no other test uses. */
interface Party {
  readonly receiver: Socket;
  readonly sender: Socket;
  readonly group: string;
  readonly port: number;
}

export async function meet({ bound, loopback, socket }: World): Promise<Party> {
  const [receiver, sender] = [socket(), await bound()];
  await receiver.bind(["", 0]);
  sender.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, loopback);
  return { receiver, sender, group: freshGroup(receiver), port: receiver.getsockname().port };
}

/** A group with site scope (RFC 2365), or over IPv6 with interface-local scope (RFC 4291): its datagrams stay here. */
export function freshGroup(s: Socket): string {
  // No part is 0, because the short form of an IPv6 address leaves out zeros.
  const [high, low] = [1 + (s.random() % 255), 1 + (s.random() % 254)];
  return s.family === AF_INET ? `239.255.${high}.${low}` : `ff01::${high.toString(16)}:${low.toString(16)}`;
}
