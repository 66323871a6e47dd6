import type { NatsConnection } from "@nats-io/transport-node";

import type { Clock } from "../core/driver/driver.js";
import { OSError } from "../core/errors/errors.js";
import { type NatsCall, forbiddenError } from "./nats-connection.js";
import type { NewStream } from "./options.js";
import { covers, intersection } from "./subjects.js";

const timeoutMs = 5000;
/** Error of JetStream: there is no stream with this name. */
export const streamNotFound = 10_059;
/** Error of JetStream: it knows too few servers for the replicas. A cluster that starts can know them a moment later. */
const noPeers = 10_005;
/** Error of JetStream: another stream takes subjects of the new one. */
const subjectsOverlap = 10_065;
/** Milliseconds for which it is asked again, and between two attempts. */
const placeMs = 30_000;
const placeAgainMs = 250;
const nsPerMs = 1_000_000;

/** What the gateway needs of an answer of the server. */
interface Answer {
  readonly config?: {
    readonly subjects?: readonly string[];
    readonly duplicate_window?: number;
    readonly discard?: string;
    readonly max_bytes?: number;
  };
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

/**
 * Finds the stream, or creates it. Waits up to 30 s for a cluster that does not know enough servers yet.
 *
 * @param subjects that it must take, with wildcards.
 * @param answers subjects that it must not take: its acknowledgement would be taken for that of the gateway.
 * @returns milliseconds for which it knows the ids of its messages, and the subjects that it takes.
 * @throws `OSError` `ENOENT`, `EINVAL`, `ENOTSUP`, `EACCES`, `ETIMEDOUT`.
 */
export async function openStream(
  connection: NatsConnection,
  clock: Clock,
  name: string,
  subjects: string,
  answers: string | undefined,
  create: NewStream | undefined,
): Promise<{ readonly duplicateWindowMs: number; readonly taken: readonly string[] }> {
  let answer = await ask("gateway", connection, `$JS.API.STREAM.INFO.${name}`);
  if (answer.error?.err_code === streamNotFound) {
    if (!create)
      throw failure("ENOENT", `there is no stream ${name}: create it, for example with create: true`);
    const request = {
      name,
      subjects: create.subjects ?? [subjects],
      retention: "limits",
      storage: "file",
      discard: "new",
      max_bytes: create.maxBytes ?? -1,
      max_age: (create.maxAgeMs ?? 0) * nsPerMs,
      num_replicas: create.replicas ?? 1,
    };
    const untilMs = clock.now() + placeMs;
    for (;;) {
      answer = await ask("gateway", connection, `$JS.API.STREAM.CREATE.${name}`, request);
      if (answer.error?.err_code !== noPeers || clock.now() > untilMs) break;
      await new Promise<void>((resolve) => void clock.after(placeAgainMs, resolve));
    }
  }
  const { error, config } = answer;
  if (error?.err_code === subjectsOverlap) {
    const others = await streamsOf(connection, create?.subjects ?? [subjects]);
    const whose = others.length === 0 ? "another stream" : `the stream ${others.join(", ")}`;
    throw failure(
      "EINVAL",
      `the stream ${name}: ${whose} has its subjects: use that stream, or another prefix`,
    );
  }
  if (error) throw failure("EINVAL", `the stream ${name}: ${error.description ?? "an error of the server"}`);
  const taken = config?.subjects ?? [];
  if (!taken.some((pattern) => covers(pattern, subjects))) {
    const takes = taken.length === 0 ? "no subjects" : taken.join(", ");
    throw failure("EINVAL", `the stream ${name} takes ${takes}, and the gateway needs ${subjects}`);
  }
  const wide =
    answers === undefined ? undefined : taken.find((pattern) => intersection(pattern, answers) !== undefined);
  if (wide !== undefined) {
    const text = `the stream ${name} takes ${wide}, which includes answers (${answers})`;
    throw failure("EINVAL", `${text}: let it take ${subjects} instead, or switch answers off`);
  }
  const version = connection.info?.version ?? "";
  if (config?.discard === "new" && (config.max_bytes ?? -1) > 0 && deletesAcknowledged(version)) {
    const text = `nats-server ${version} can delete the oldest messages of the stream ${name} when it is full by bytes, although it says discard: new`;
    const type = "DatagramWarning";
    process.emitWarning(`${text}: use nats-server 2.10.5 or later`, { type, code: "STREAM_DELETES_OLD" });
  }
  return { duplicateWindowMs: (config?.duplicate_window ?? 0) / nsPerMs, taken };
}

/** The names of the streams that take subjects; none if the server does not let this user ask. */
async function streamsOf(
  connection: NatsConnection,
  subjects: readonly string[],
): Promise<readonly string[]> {
  const names = new Set<string>();
  for (const subject of subjects) {
    const api = "$JS.API.STREAM.NAMES";
    const { streams } = await ask<{ readonly streams?: readonly string[] | null }>(
      "gateway",
      connection,
      api,
      {
        subject,
      },
    ).catch(() => ({ streams: [] }));
    for (const stream of streams ?? []) names.add(stream);
  }
  return [...names];
}

/**
 * Asks JetStream.
 *
 * @param call the call of the program, for errors.
 * @returns the answer, which can be an `error`.
 * @throws `OSError` `ENOTSUP`, `EACCES`, `ETIMEDOUT`.
 */
export async function ask<Result = Answer>(
  call: NatsCall,
  connection: NatsConnection,
  subject: string,
  request?: object,
): Promise<Result> {
  try {
    const data = request === undefined ? "" : JSON.stringify(request);
    return (await connection.request(subject, data, { timeout: timeoutMs })).json<Result>();
  } catch (cause) {
    const forbidden = forbiddenError(call, cause);
    if (forbidden) throw forbidden;
    const why = cause instanceof Error ? cause.message : String(cause);
    const [code, text] = why.includes("no responders")
      ? ["ENOTSUP", "the server has no JetStream: start nats-server with -js"]
      : ["ETIMEDOUT", `JetStream does not answer: ${why}`];
    throw new OSError(code, { syscall: call, text, cause });
  }
}

/**
 * Whether a server of this version underestimates the size of a message (nats-server issue 4771), so that a stream with
 * `discard: new` and `max_bytes` takes messages for which it has no room, and deletes old ones.
 */
function deletesAcknowledged(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map((part) => parseInt(part, 10));
  return major < 2 || (major === 2 && (minor < 10 || (minor === 10 && patch < 5)));
}

function failure(code: string, text: string): OSError {
  return new OSError(code, { syscall: "gateway", text });
}
