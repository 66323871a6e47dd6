/** An answer to a message that was published. */
export type Acknowledgement =
  | { readonly kind: "stored"; readonly isDuplicate: boolean }
  | { readonly kind: "refused"; readonly reason: string };

/** The gateway's own reasons for a refusal. Others are texts of the server, or of anybody who can publish to the inbox. */
export const reasons = {
  full: "the stream is full",
  otherStream: "another stream took it",
  noStream: "no stream takes this subject",
  forbidden: "the server does not let this user publish to the subject",
  tooLarge: "larger than the server takes",
} as const;

/** The largest acknowledgement that is read. Those of JetStream have about 100 bytes. */
const maxBytes = 4096;
const maxReasonCharacters = 200;
/** Error of JetStream: the stream cannot store the message. For `discard: new` it is full. */
const streamStoreFailed = 10_077;

/**
 * Reads an acknowledgement of JetStream (`PubAck`). Anybody on the server may be allowed to publish to an inbox, so it can be any
 * bytes.
 *
 * @param stream the name of the stream that should have stored the message.
 * @returns `undefined` if it is no acknowledgement.
 */
export function readAcknowledgement(data: Uint8Array, stream: string): Acknowledgement | undefined {
  if (data.length > maxBytes) return undefined;
  const ack = parse(data);
  const error = ack.error ?? undefined;
  if (error !== undefined) {
    const { err_code: code, description } = error as Record<string, unknown>;
    if (typeof code !== "number" || typeof description !== "string") return undefined;
    // The limit of a stream that is full: `maximum messages exceeded`, `maximum bytes exceeded`.
    if (code === streamStoreFailed && /^maximum (?:messages|bytes)/.test(description))
      return { kind: "refused", reason: reasons.full };
    return { kind: "refused", reason: description.slice(0, maxReasonCharacters) };
  }
  const { stream: taker, seq, duplicate } = ack;
  if (typeof taker !== "string" || typeof seq !== "number" || seq < 1) return undefined;
  if (taker !== stream) return { kind: "refused", reason: reasons.otherStream };
  return { kind: "stored", isDuplicate: duplicate === true };
}

function parse(data: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(
      Buffer.from(data.buffer, data.byteOffset, data.length).toString("latin1"),
    );
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Returns the bytes with which almost all acknowledgements of a stream begin, for `isStored`. */
export function storedStart(stream: string): Buffer {
  return Buffer.from(`{"stream":"${stream}", "seq":`);
}

/**
 * Whether an acknowledgement says no more than `{"stream":"name", "seq":1}`, which is not worth a JSON parser. Others need
 * `readAcknowledgement`.
 */
export function isStored(data: Uint8Array, start: Uint8Array): boolean {
  const end = data.length - 1;
  if (end <= start.length || data[end] !== 0x7d) return false;
  for (let at = 0; at < start.length; at++) if (data[at] !== start[at]) return false;
  // The first sequence of a stream is 1.
  if (data[start.length] === 0x30) return false;
  for (let at = start.length; at < end; at++) {
    const byte = data[at] ?? 0;
    if (byte < 0x30 || byte > 0x39) return false;
  }
  return true;
}
