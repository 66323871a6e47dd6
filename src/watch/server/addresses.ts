import { networkInterfaces } from "node:os";

import type { Hello } from "../protocol.js";

/** The addresses of this machine that other machines can send to. Link-local ones have their interface as the scope. */
export function ownAddresses(): Hello["addresses"] {
  return Object.entries(networkInterfaces()).flatMap(([name, all = []]) =>
    all
      .filter(({ internal }) => !internal)
      .map(({ address }) => ({
        address: address.startsWith("fe80:") ? `${address.replace(/%.*/, "")}%${name}` : address,
        interface: name,
      })),
  );
}
