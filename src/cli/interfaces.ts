/** The network interfaces of this machine, and how the command line names them. */

import { readFileSync } from "node:fs";
import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";

import type { Endpoint, Family } from "../core/address/address.js";
import { parseLiteral } from "../core/ip.js";
import { AF_INET, Address } from "../index.js";
import { usage } from "./exit.js";
import { quote } from "./option-values.js";

/** One network interface. */
export interface NetworkInterface {
  readonly name: string;
  /** The index of the interface. `undefined` if the system does not tell it. */
  readonly number: number | undefined;
  readonly loopback: boolean;
  /** Empty if the interface is down or has no address. */
  readonly addresses: readonly NetworkInterfaceInfo[];
}

/** All interfaces of this machine. On Linux also interfaces that are down or have no address. */
function listInterfaces(): readonly NetworkInterface[] {
  const up = networkInterfaces();
  const numbers = interfaceNumbers();
  const names = new Set([...devices(), ...Object.keys(up)]);
  return [...names].map((name) => {
    const addresses = up[name] ?? [];
    const scope = addresses.find(({ scopeid }) => scopeid)?.scopeid;
    const loopback = name === "lo" || addresses.some(({ internal }) => internal);
    return { name, number: numbers.get(name) ?? scope, loopback, addresses };
  });
}

/**
 * Reads an interface for the option `name`: its name, its number, or an address that it has.
 *
 * @throws `Failure` that lists the interfaces, if the text matches none.
 */
export function interfaceFor(name: string): (text: string) => NetworkInterface {
  return (text) => {
    const all = listInterfaces();
    const found = all.find((each) => matchesName(each, text)) ?? all.find((each) => hasAddress(each, text));
    if (found) return found;
    const what = parseLiteral(text) ? "no interface has the address" : "there is no interface";
    throw usage(`${name}: ${what} ${quote(text)}: there are ${listNames(all)}`);
  };
}

/** Whether `text`, such as the scope of an address, is the name or the number of an interface. */
export function matchesName(one: NetworkInterface, text: string): boolean {
  return one.name === text || (one.number !== undefined && String(one.number) === text);
}

/** The interface that has an address. The address may have a scope. */
export function interfaceWith(host: string): NetworkInterface | undefined {
  return listInterfaces().find((each) => hasAddress(each, host));
}

/** The interfaces that are up and have an address of a family, without the loopback interface. */
export function interfacesUp(family: Family): readonly NetworkInterface[] {
  const wanted = family === AF_INET ? "IPv4" : "IPv6";
  return listInterfaces().filter(
    ({ loopback, addresses }) => !loopback && addresses.some((each) => each.family === wanted),
  );
}

/** The names that may be given for an interface, such as `lo, eth0 (192.168.1.7)`. */
export function listNames(all: readonly NetworkInterface[] = listInterfaces()): string {
  const name = ({ name, addresses }: NetworkInterface): string => {
    const [first] = addresses.filter(({ family }) => family === "IPv4");
    return first ? `${name} (${first.address})` : name;
  };
  return all.map(name).join(", ");
}

/** The first IPv4 address of an interface. */
export function firstIPv4({ addresses }: NetworkInterface): string | undefined {
  return addresses.find(({ family }) => family === "IPv4")?.address;
}

function hasAddress({ name, addresses }: NetworkInterface, text: string): boolean {
  const literal = parseLiteral(text);
  if (!literal || (literal.zone !== "" && literal.zone !== name)) return false;
  const { host } = new Address(text.replace(/%.*/, ""), 0) as Endpoint;
  return addresses.some(({ address }) => address === host);
}

/** Names from proc_pid_net(5), also of interfaces that are down. Empty if the system is not Linux. */
function devices(): string[] {
  return [...readNetwork("dev").matchAll(/^ *([^\s:]+):/gm)].map(([, name = ""]) => name);
}

/** Numbers by name, of every interface with IPv4 or IPv6. Empty if the system is not Linux. */
function interfaceNumbers(): ReadonlyMap<string, number> {
  const ipv4 = readNetwork("igmp").matchAll(/^(\d+)\t(\S+)/gm);
  const ipv6 = readNetwork("if_inet6").matchAll(/^[0-9a-f]{32} ([0-9a-f]+) .* (\S+)$/gm);
  return new Map([
    ...[...ipv4].map(([, number, name = ""]) => [name, Number(number)] as const),
    ...[...ipv6].map(([, number = "", name = ""]) => [name, Number.parseInt(number, 16)] as const),
  ]);
}

function readNetwork(file: "dev" | "igmp" | "if_inet6"): string {
  try {
    return readFileSync(`/proc/net/${file}`, "utf8");
  } catch {
    // Another system, or a kernel without the family.
    return "";
  }
}
