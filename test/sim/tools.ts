/** What tests of the network in memory share. */

import { Buffer } from "node:buffer";

import type { Datagram, Socket } from "datagram";
import {
  type Fate,
  type Host,
  type Link,
  type LinkInput,
  Network,
  type TraceEntry,
  type Router,
} from "datagram/sim";

/** A desk, a camera, and the links and routers between them. */
export interface Chain {
  readonly network: Network;
  readonly desk: Host;
  readonly camera: Host;
  readonly routers: readonly Router[];
  readonly links: readonly Link[];
}

/** Connects a desk (10.0.0.1, fd00::1) to a camera (10.9.0.2, fd00:9::2) by these links, with routers r1, r2, … between. */
export function chain(version: 4 | 6, ...settings: readonly LinkInput[]): Chain {
  const network = new Network({ seed: 815 });
  const host = (name: string, ...addresses: [four: string, six: string]): Host =>
    network.host(name, { address: addresses[version === 4 ? 0 : 1] });
  const [desk, camera] = [host("desk", "10.0.0.1", "fd00::1"), host("camera", "10.9.0.2", "fd00:9::2")];
  const routers: Router[] = [];
  const links: Link[] = [];
  for (const [index, each] of settings.entries()) {
    const near = routers.at(-1) ?? desk;
    const isLast = index === settings.length - 1;
    if (!isLast) routers.push(network.router(`r${index + 1}`));
    links.push(network.link(near, isLast ? camera : (routers.at(-1) as Router), each));
  }
  return { network, desk, camera, routers, links };
}

/** All datagrams that a socket receives until it is closed, in a list that grows. */
export function heard(s: Socket): Datagram[] {
  const datagrams: Datagram[] = [];
  void (async () => {
    for await (const datagram of s) datagrams.push(datagram);
  })();
  return datagrams;
}

/** The payloads of datagrams as text. */
export function textsOf(datagrams: readonly Datagram[]): string[] {
  return datagrams.map(({ data }) => data.toString());
}

/** The error of a promise that rejects. */
export async function failure(promise: Promise<unknown>): Promise<unknown> {
  const outcome: { error?: unknown } = await promise.then(
    () => ({}),
    (error: unknown) => ({ error }),
  );
  if (!("error" in outcome)) throw new Error("it did not fail");
  return outcome.error;
}

/** How many packets of the trace had each fate, on one link or on all. */
export function fates(network: Network, link?: string): Partial<Record<Fate, number>> {
  const counts: Partial<Record<Fate, number>> = {};
  for (const { fate } of packetsOn(network, link)) counts[fate] = (counts[fate] ?? 0) + 1;
  return counts;
}

export function packetsOn(network: Network, link?: string): TraceEntry[] {
  return network.trace.packets.filter((entry) => link === undefined || entry.link === link);
}

/** The ICMP errors of the trace, each once for each link: type, code and source. */
export function icmpOn(network: Network, link?: string): [type: number, code: number, from: string][] {
  return packetsOn(network, link).flatMap(({ packet: { content, source } }) =>
    content.protocol === "icmp" ? [[content.type, content.code, source] as [number, number, string]] : [],
  );
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A payload in which each byte differs from its neighbours, so that no part can stand in for another. */
export function bytes(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, at) => (at * 7 + (at >> 8)) & 0xff));
}
