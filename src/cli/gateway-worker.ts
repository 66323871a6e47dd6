/** The side of a worker of `datagram gateway --workers`: its messages with the parent. `gateway-workers.ts` is the other side. */

import assert from "node:assert";
import { once } from "node:events";

import type { GatewayStats } from "../gateway/index.js";
import { usage } from "./exit.js";

/** A message of a worker. */
export type WorkerMessage =
  /** It has bound its sockets, and stores what arrives. */
  | { readonly type: "ready"; readonly ports: readonly number[] }
  /** Its counts: each second, and at the end. */
  | { readonly type: "counts"; readonly counts: GatewayStats };

/** A message of the parent: the options at the start, and the wish that the worker ends. */
export type ParentMessage =
  | { readonly type: "options"; readonly options: object }
  | { readonly type: "stop" };

/** Returns the options from the parent, which are not on the command line because they can have a password. */
export async function optionsOfParent<Options extends object>(): Promise<Options> {
  if (process.send === undefined) throw usage("--worker is for the workers of --workers");
  const [message] = (await once(process, "message")) as [ParentMessage];
  assert(message.type === "options", "the first message of the parent has the options");
  return message.options as Options;
}

/** Tells the parent something. Resolves when it is written. */
export async function tellParent(message: WorkerMessage): Promise<void> {
  await new Promise<void>((resolve) => {
    // The parent may have died.
    if (process.connected) process.send?.(message, undefined, undefined, () => resolve());
    else resolve();
  });
}

/** Lets the process end. */
export function leaveParent(): void {
  if (process.connected) process.disconnect();
}

/** Aborts when the parent wants the worker to end, or has died. Ctrl-C on a terminal goes to each process, and the parent decides. */
export function stopOfParent(): AbortSignal {
  const stop = new AbortController();
  process.on("SIGINT", () => undefined).on("SIGTERM", () => stop.abort());
  process.on("message", ({ type }: ParentMessage) => {
    if (type === "stop") stop.abort();
  });
  process.on("disconnect", () => stop.abort());
  return stop.signal;
}
