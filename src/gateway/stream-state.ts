/** The messages that a stream has, and warnings if the options of a reading do not fit them. */

import type { NatsConnection } from "@nats-io/transport-node";

import { OSError } from "../core/errors/errors.js";
import { count } from "../core/ledger/count-text.js";
import { runListener } from "../core/socket/events.js";
import type { CheckedConsume } from "./consume-options.js";
import { ask } from "./stream.js";

const noMessageFound = 10_037;

/** An answer of JetStream. */
export type Answer<Result> = Result & {
  readonly error?: JetStreamError;
};

interface JetStreamError {
  /** As in HTTP: 503 if it is over after a while. */
  readonly code?: number;
  readonly err_code?: number;
  readonly description?: string;
}

type Checked = Pick<CheckedConsume, "stream" | "from" | "bucket" | "onWarning">;

/** The number of the last message of subjects with wildcards; 0 if there is none. @throws `OSError`. */
export async function lastOf(connection: NatsConnection, stream: string, subjects: string): Promise<number> {
  const request = { last_by_subj: subjects };
  const subject = `$JS.API.STREAM.MSG.GET.${stream}`;
  const answer = await ask<Answer<{ message?: { seq: number } }>>("consume", connection, subject, request);
  if (answer.error && answer.error.err_code !== noMessageFound) throw refusal(answer.error);
  return answer.message?.seq ?? 0;
}

/** Warns if a reading starts after the end, except directly after it: the stream may have been made again. */
export function warnOfEnd({ stream, from, onWarning }: Checked, last: number): void {
  if (typeof from !== "object" || !("sequence" in from) || from.sequence <= last + 1) return;
  const state = last === 0 ? "has had no message yet" : `ends with message number ${last}`;
  const message = `the stream ${stream} ${state}: nothing before number ${from.sequence} is read`;
  runListener(() => onWarning({ code: "STREAM_ENDS_EARLIER", message }));
}

/** Warns if nothing has the subjects of `filter`, and other buckets or peers have messages. @throws `OSError`. */
export async function warnOfBucket(
  connection: NatsConnection,
  { stream, bucket, onWarning }: Checked,
  filter: string,
): Promise<void> {
  if (!bucket || (await lastOf(connection, stream, filter)) > 0) return;
  if ((await lastOf(connection, stream, bucket.wider)) === 0) return;
  const state = `the stream ${stream} has no message of ${filter}, and has others of ${bucket.wider}`;
  const message = `${state}: if the gateways do not have ${bucketsText(bucket.buckets)}, leave the number out`;
  runListener(() => onWarning({ code: "STREAM_BUCKETS", message }));
}

/** A number of buckets as words. */
export function bucketsText(buckets: number): string {
  return buckets === 0 ? "a subject for each peer" : count(buckets, "bucket");
}

export function refusal({ code, description }: JetStreamError): OSError {
  return failure(code === 503 ? "EAGAIN" : "EINVAL", description);
}

export function failure(code: string, text = "an error of the server"): OSError {
  return new OSError(code, { syscall: "consume", text });
}
