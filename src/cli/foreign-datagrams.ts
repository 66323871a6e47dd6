import type { MessagesStats } from "../message/index.js";

/** The number of datagrams that were dropped because they are no frames of messages, or frames of another version. */
export function foreignDatagrams({
  version = 0,
  short = 0,
  kind = 0,
  flags = 0,
}: MessagesStats["dropped"]): number {
  return version + short + kind + flags;
}
