/**
 * The packages that `npm run compat` tries. Each has an exchange between a client and a server, which are two hosts in the simulated
 * network, and one process on loopback:
 *
 * - `client(name)` and `server(name)` load a module there. `at` is the address of the server, `from` that of the client.
 * - `say(line)` records what the packages reported. The lines must be the same over `node:dgram` and over this package.
 * - `wait(ms)` waits.
 *
 * An exchange that does not try again by itself says how many of its datagrams arrived.
 */
import { discovery } from "./discovery.mjs";
import { logs } from "./logs.mjs";
import { requests } from "./requests.mjs";

export const packages = [...requests, ...discovery, ...logs];
