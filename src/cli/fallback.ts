import { fallbackReason } from "../kernel/choice.js";
import { notice } from "./terminal.js";

/** Says below the ready line of a long-running command that sockets use the fallback driver, and why. */
export function noticeFallback(): void {
  const reason = fallbackReason();
  if (reason !== undefined) notice(`  sockets use node:dgram: ${reason}`);
}
