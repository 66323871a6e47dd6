/** What a requester is told about its answer, as JSON. */

import { Buffer } from "node:buffer";

/** An ICMP error about a peer. */
export interface AnswerIcmp {
  /** For example `"ECONNREFUSED"`. */
  readonly code: string;
  /** For example `"port unreachable"`. */
  readonly kind?: string | undefined;
  /** The host that sent the error. */
  readonly from?: string | undefined;
}

/** What became of an answer. */
export interface AnswerResult {
  /** Whether the kernel took the datagram; `null` if nobody knows. */
  readonly sent: boolean | null;
  /** Bytes of the payload, if it was sent. */
  readonly bytes?: number;
  /** The address of the peer, if it was sent. */
  readonly peer?: string;
  /** The local address that it was sent from. Its host is missing if the system chose it. */
  readonly source?: string;
  /** The ICMP error that came within `icmpWaitMs`, `null` if none came, or `"unknown"` if this system does not report them. */
  readonly icmp?: AnswerIcmp | null | "unknown";
  /** Why it was not sent: a code for programs. */
  readonly code?: string;
  /** Why it was not sent, in words. */
  readonly error?: string;
}

/** The largest number of bytes of a result. */
const maxResultBytes = 4096;

/** Returns the result for an answer that was not sent. */
export function notSent(code: string, error: string): AnswerResult {
  return { sent: false, code, error };
}

/** Reads a result of another gateway. Anybody may publish to an inbox, so it can be any bytes. */
export function parseResult(data: Uint8Array): AnswerResult | undefined {
  if (data.length > maxResultBytes) return undefined;
  const value = parseObject(data);
  const { sent, code, icmp } = value ?? {};
  if (sent !== true && sent !== false && sent !== null) return undefined;
  // The codes are names of counts.
  if (sent !== true && !(typeof code === "string" && /^[A-Z][A-Z0-9_]{1,31}$/.test(code))) return undefined;
  if (icmp !== undefined && icmp !== "unknown" && typeof icmp !== "object") return undefined;
  return value as unknown as AnswerResult;
}

/** Returns the object of a JSON text; `undefined` for anything else. */
export function parseObject(data: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.length).toString());
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
