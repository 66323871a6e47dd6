/** What `datagram listen --guide`, which is `npm start`, adds: a free port, and the commands to type next. */

import type { Endpoint } from "../core/address/address.js";
import { AF_INET, Address, OSError } from "../index.js";
import type { ListenTarget } from "./listen-target.js";
import type { Listener, ListenerOptions } from "./listener.js";
import { isGroup } from "./route-options.js";
import { notice } from "./terminal.js";

/** The port without an argument, and the last one that is tried if others are taken. */
const [firstPort, lastPort] = [9000, 9099] as const;

/** The option `--guide`, and those of the answers. */
export interface GuideOptions extends Pick<ListenerOptions, "echo" | "reply"> {
  readonly guide?: boolean;
}

/**
 * Opens the first port from 9000 on that is not taken, and says so if that is another one.
 *
 * @throws `OSError` `EADDRINUSE` if all 100 are taken.
 */
export async function openFreePort<T>(open: (port: number) => Promise<T>): Promise<T> {
  for (let port: number = firstPort; ; port++) {
    try {
      const opened = await open(port);
      if (port > firstPort) notice(`port ${firstPort} is taken: this is port ${port}`);
      return opened;
    } catch (error) {
      if (!(error instanceof OSError && error.code === "EADDRINUSE") || port === lastPort) throw error;
    }
  }
}

/** Prints the commands to type next, with `--guide`. */
export function showGuide([first]: readonly Listener[], options: GuideOptions): void {
  if (!options.guide || !first) return;
  guide(first.address, first.target, options.echo === true || options.reply !== undefined);
}

/**
 * With `--no` npm does not ask a registry for a package of this name.
 *
 * @param answers whether the listener answers.
 */
function guide(at: Endpoint, { joins }: ListenTarget, answers: boolean): void {
  const run = "npm exec --no -- datagram";
  const host = { "0.0.0.0": "127.0.0.1", "::": "::1" }[at.host] ?? at.host;
  const to = new Address(host, at.port);
  const family = to.family === AF_INET ? "AF_INET" : "AF_INET6";
  const by = isGroup(at) ? ` --interface ${joins[0]?.by}` : "";
  const python = `python3 -c 'from socket import *; socket(${family}, SOCK_DGRAM).sendto(b"hello", ("${host}", ${at.port}))'`;
  const lines = [
    "Now, in this folder in another terminal:",
    `  ${run} send ${to} hello${by}`,
    ...(by === "" ? [`  ${python}`] : []),
    answers
      ? "and for an answer:"
      : 'Ctrl-C ends this. Started by npm start -- --reply "ack: {}" it also answers:',
    `  ${run} request ${to} ping${by}`,
  ];
  for (const line of lines) notice(line);
}
