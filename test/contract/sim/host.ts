import { type Host, Network } from "datagram/sim";

let network: Network | undefined;
let host: Host | undefined;

/** The host that a contract test has for its own; outside of one, such as while tests are collected, one of its own. */
export function theHost(): Host {
  return (host ??= fresh());
}

/** Has a test run on a host of a network that it made itself. */
export function theHostIs(made: Host): void {
  host = made;
}

/** Runs a contract test in virtual time, on a network that is new. */
export async function runContract(body: () => Promise<void>): Promise<void> {
  fresh();
  await network?.run(body);
}

function fresh(): Host {
  network = new Network();
  host = network.host("contract", { addresses: ["10.0.0.1", "fd00::1"] });
  const other = network.router("gateway");
  network.link(host, other);
  return host;
}
