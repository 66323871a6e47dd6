import { type Host, Network } from "datagram/sim";

let network: Network | undefined;
let host: Host | undefined;

/** The host of the running contract test. Outside of a test, for example while tests are collected, another new host. */
export function theHost(): Host {
  return (host ??= fresh());
}

/** Makes a test run on a host of a network that the test made itself. */
export function theHostIs(made: Host): void {
  host = made;
}

/** Runs a contract test in virtual time, on a new network. */
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
