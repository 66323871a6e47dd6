import type { PeerStats } from "./message.js";
import type { Peer } from "./peers.js";

/** What is known of a peer. @param chunkBytes of messages to a peer that is not known. */
export function statsOf(peer: Peer | undefined, chunkBytes: number, now: number): PeerStats {
  const sender = peer?.sender;
  const path = sender?.congestion;
  const min = path?.minRttMs;
  return {
    rttMs: path?.srttMs,
    minRttMs: min === Infinity ? undefined : min,
    windowChunks: path ? Math.floor(path.window) : 0,
    inFlightChunks: path?.inFlight ?? 0,
    credit: sender && sender.credit !== Infinity ? sender.credit : undefined,
    lossRatio: path?.lossRatio ?? 0,
    sentChunks: sender?.sentChunks ?? 0,
    resentChunks: sender?.resentChunks ?? 0,
    chunkBytes: sender?.chunkSize.at(now) ?? chunkBytes,
    blackHoles: sender?.chunkSize.blackHoles ?? 0,
    pendingMessages: sender?.pending ?? 0,
    receivedChunks: peer?.receivedChunks ?? 0,
    receivedMessages: peer?.receivedMessages ?? 0,
    isProven: peer?.isProven ?? false,
    lastSeenMs: peer?.lastSeen,
  };
}
