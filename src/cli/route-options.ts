/** The options of `send`, `request`, `ping` and `listen` for routes: interface, groups, source, TTL and TOS. */

import { type Command, Option } from "commander";

import type { Endpoint } from "../core/address/address.js";
import { isMulticast, parseLiteral } from "../core/ip.js";
import { Address, OSError } from "../index.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { type NetworkInterface, interfaceFor, matchesName } from "./interfaces.js";
import { typeOfService } from "./type-of-service.js";
import { quote, wholeNumber } from "./option-values.js";

/** The given options. Lists are in the order of the command line. */
export interface RouteOptions {
  readonly interface?: readonly NetworkInterface[];
  readonly join?: readonly Endpoint[];
  /** Host `""` is any address, port 0 any port. */
  readonly source?: Address;
  readonly ttl?: number;
  readonly tos?: number;
}

/** The help texts of options that differ between the commands. A command without a text for `join` lacks that option. */
interface Meanings {
  readonly interface: string;
  readonly join?: string;
  readonly source: string;
}

/** For `send` and `request`. */
export const sendersMeanings = {
  interface: "send on this interface: its name, number or address; may be repeated",
  source: "send from this local address, port or both: [host][:port]",
} as const;

/** For `ping`, which has one peer. */
export const pingMeanings: Meanings = {
  interface: "send on this interface: its name, number or address",
  source: sendersMeanings.source,
};

/** Adds these options to a command. */
export function addRouteOptions(command: Command, meanings: Meanings): Command {
  command.option("--interface <which>", meanings.interface, listed(interfaceFor("--interface")));
  if (meanings.join !== undefined)
    command.option("--join <group>", `${meanings.join}; may be repeated`, listed(groupFor("--join")));
  return command
    .option("--source <address>", meanings.source, sourceAddress)
    .option("--ttl <n>", "TTL (hop limit) of unicast and multicast: 1 to 255", wholeNumber("--ttl", 1, 255))
    .option("--tos <byte>", "type of service: 0 to 255, or a name such as ef", typeOfService("--tos"));
}

/**
 * Applies an option to a socket.
 *
 * @throws `Failure` that names the option, if the system or the driver refuses.
 */
export function namingOptionInErrors(option: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    throw new Failure(exitCodes.error, `${option}: ${error.message}`);
  }
}

/** `--every-interface`, of commands that send. */
export function everyInterfaceOption(): Option {
  const meaning = "send broadcasts and multicast on every interface that is up";
  return new Option("--every-interface", meaning).conflicts("interface");
}

/** Whether datagrams to `to` are multicast. */
export function isGroup({ host }: Endpoint): boolean {
  const literal = parseLiteral(host);
  return literal !== undefined && isMulticast(literal.bytes);
}

/** Interface-local and link-local multicast (RFC 7346). */
const scopes: ReadonlySet<number> = new Set([1, 2]);

/** Whether an address has no meaning without an interface (RFC 4291 section 2.5.6, RFC 4007 section 4). */
export function needsScope({ host }: Endpoint): boolean {
  const [first = 0, second = 0, ...rest] = parseLiteral(host)?.bytes ?? [];
  if (rest.length !== 14) return false;
  return first === 0xff ? scopes.has(second & 0x0f) : first === 0xfe && (second & 0xc0) === 0x80;
}

/**
 * The address with the interface as its scope, if the address needs a scope.
 *
 * @throws `Failure` if it has the scope of another interface.
 */
export function withScopeOf(
  to: Endpoint,
  by: NetworkInterface | undefined,
  option = "--interface",
): Endpoint {
  if (!by) return to;
  if (to.scope !== undefined && !matchesName(by, to.scope)) {
    throw usage(`${option} ${by.name} contradicts ${to}, which names the interface ${to.scope}`);
  }
  if (to.scope !== undefined || !needsScope(to)) return to;
  return new Address(`${to.host}%${by.name}`, to.port) as Endpoint;
}

/** Reads an address or a name without a port for the option `name`. */
export function hostFor(name: string): (text: string) => string {
  return (text) => {
    try {
      const { host } = new Address(text, 0);
      if (host !== "") return host;
    } catch {
      // Reported below.
    }
    throw usage(`${name} takes an address or a name without a port, such as 10.0.0.7, not ${quote(text)}`);
  };
}

/** Reads a multicast group for the option `name`. */
export function groupFor(name: string): (text: string) => Endpoint {
  return (text) => {
    const literal = parseLiteral(text);
    if (literal && isMulticast(literal.bytes)) {
      if (literal.zone !== "") interfaceFor(name)(literal.zone);
      return new Address(text, 0) as Endpoint;
    }
    const why = literal ? ", which is not a multicast address" : "";
    throw usage(
      `${name} takes a multicast group without a port, such as 239.7.7.7 or ff02::4242%eth0, not ${quote(text)}${why}`,
    );
  };
}

/** Reads `host:port`, `host` or `:port`. */
function sourceAddress(text: string): Address {
  const literal = parseLiteral(text.replace(/^\[(.*)\]$/, "$1"));
  const portOnly = /^\d+$/.test(text);
  try {
    if (text === "" || portOnly) throw new RangeError();
    const source = literal
      ? new Address(text.replace(/^\[(.*)\]$/, "$1"), 0)
      : text.includes(":")
        ? Address.parse(text)
        : new Address(text, 0);
    if (!isGroup(source as Endpoint) && source.host !== "255.255.255.255") return source;
  } catch {
    const port = portOnly ? `: a port alone is :${text}` : "";
    throw usage(
      `--source takes [host][:port], such as 192.168.1.7, :5000 or [::1]:5000, not ${quote(text)}${port}`,
    );
  }
  throw usage(`--source takes an address of this machine, which ${quote(text)} cannot be`);
}

/** An option that may be given several times. */
export function listed<T>(read: (text: string) => T): (text: string, before?: readonly T[]) => readonly T[] {
  return (text, before = []) => [...before, read(text)];
}
