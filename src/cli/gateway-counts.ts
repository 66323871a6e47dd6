/** The counts of several gateways as one account, and their texts. */

import type { AnswerStats, FolderStats, GatewayStats } from "../gateway/index.js";
import type { MessagesStats } from "../message/index.js";
import { count } from "../core/ledger/count-text.js";
import { Failure, exitCodes } from "./exit.js";
import { foreignDatagrams, foreignSummary } from "./foreign-datagrams.js";
import { jsonLine } from "./payload.js";
import { notice, print } from "./terminal.js";

const names = [
  "received",
  "stored",
  "shed",
  "refused",
  "inFlight",
  "waiting",
  "resent",
  "resentLate",
  "duplicates",
] as const satisfies readonly (keyof GatewayStats)[];

const answerNames = [
  "requests",
  "sent",
  "notSent",
  "unknown",
  "pending",
  "byOthers",
  "unreachable",
  "peers",
  "forgotten",
  "unreadable",
] as const satisfies readonly (keyof AnswerStats)[];

const folderNames = ["files", "removedFiles", "bytes"] as const satisfies readonly (keyof FolderStats)[];

const messageNames = [
  "received",
  "partialBytes",
  "unreadBytes",
  "unconfirmed",
  "released",
  "refused",
] as const satisfies readonly (keyof MessagesStats)[];

/** Adds up the counts of ports, or of processes. */
export function sumStats(all: readonly GatewayStats[]): GatewayStats {
  const answers = all.flatMap((each) => each.answers ?? []);
  const messages = all.flatMap((each) => each.messages ?? []);
  const dropped = all.map(({ droppedKernel }) => droppedKernel);
  const folders = all.flatMap((each) => each.folder ?? []);
  return {
    ...sumFields(all, names),
    refusedBy: sumByName(all.map(({ refusedBy }) => refusedBy)),
    // A sum with a part that nobody knows is not known.
    droppedKernel: dropped.reduce(
      (sum, each) => (sum === undefined || each === undefined ? undefined : sum + each),
      0,
    ),
    messages:
      messages.length === 0
        ? undefined
        : {
            ...sumFields(messages, messageNames),
            lost: sumByName(messages.map(({ lost }) => lost)),
            dropped: sumByName(messages.map((each) => each.dropped)),
          },
    answers:
      answers.length === 0
        ? undefined
        : {
            ...sumFields(answers, answerNames),
            notSentBy: sumByName(answers.map(({ notSentBy }) => notSentBy)),
          },
    folder: folders.length === 0 ? undefined : sumFields(folders, folderNames),
  };
}

/** What the gateway stores, for texts. */
export function nounOf({ messages }: Pick<GatewayStats, "messages">): "message" | "datagram" {
  return messages ? "message" : "datagram";
}

/** Why whole messages are refused before they have arrived. */
export const tooLong = "longer than the server takes";

/** What to do about senders of plain datagrams, which `--message` cannot read. */
const sendsMessages =
  "datagram send --message sends messages, and the gateway without --message stores any datagram";

/** The warning of datagrams that are no messages; `undefined` while none has come. */
export function foreignWarning({ messages }: GatewayStats): string | undefined {
  if (foreignDatagrams(messages?.dropped ?? {}) === 0) return undefined;
  return `datagrams come that are no messages, and are not stored: ${sendsMessages}`;
}

/** Throws if not all is stored, or if all that came was no message. @throws `Failure`. */
export function checkStored(counts: GatewayStats): void {
  const { received, stored, messages } = counts;
  const lost = received - stored + (messages?.refused ?? 0);
  if (lost > 0) throw new Failure(exitCodes.error, `${count(lost, nounOf(counts))} not stored`);
  const foreign = foreignDatagrams(messages?.dropped ?? {});
  if (received === 0 && foreign > 0)
    throw new Failure(exitCodes.error, `only datagrams came that are no messages: ${sendsMessages}`);
}

/** Prints counts as objects on lines of standard output, if they have changed. */
export class CountsLines {
  #told = "";

  async print(counts: object, signal?: AbortSignal): Promise<void> {
    const text = JSON.stringify(counts);
    if (text === this.#told) return;
    this.#told = text;
    await print(jsonLine({ time: new Date().toISOString(), ...counts }), signal);
  }
}

/** Causes of dropped datagrams that are no losses, or that other lines count. */
const toldElsewhere: ReadonlySet<string> = new Set([
  ...["duplicate", "tooLong", "version", "short", "kind", "flags"],
]);

/** Why chunks had no place. Other causes are faults of `docs/wire.md`. */
const chunkLosses: Readonly<Record<string, string>> = {
  unconfirmed: "too many messages waited for the stream; senders repeat them",
  unread: "too many messages waited to be read; senders repeat them",
  checksum: "damaged on the way",
  superseded: "of messages that were given up",
  divided: "divided differently before",
};

/** What the server means by "insufficient resources". */
export const storageUsedUp =
  "the storage of the server is used up (its max_file_store, or the limits of the account)";

/** What can be done about a reason for which datagrams are refused, as the end of a line. */
export function todoAbout(reason: string): string {
  if (reason === "no stream takes this subject")
    return ": if the stream is gone, end the gateway and start it with --create";
  if (reason.startsWith("insufficient")) return `: ${storageUsedUp}`;
  return "";
}

/** Prints the summary at the end. */
export function noticeSummary(counts: GatewayStats): void {
  notice(`${count(counts.received, nounOf(counts))} received`);
  notice(`  stored: ${counts.stored}`);
  notice(`  shed: ${counts.shed}`);
  notice(`  refused: ${counts.refused}`);
  for (const [reason, datagrams] of Object.entries(counts.refusedBy)) notice(`    ${reason}: ${datagrams}`);
  const { folder } = counts;
  const taker = folder ? "disk" : "server";
  if (counts.waiting > 0) notice(`  never sent to the ${taker}: ${counts.waiting}`);
  notice(`  without an answer of the ${taker}: ${counts.inFlight - counts.waiting}`);
  if (folder) {
    const removed = folder.removedFiles === 0 ? "" : `, ${folder.removedFiles} old ones removed`;
    notice(`  files: ${folder.files}${removed}`);
  }
  if (counts.resent > 0) notice(`  sent again: ${counts.resent}`);
  if (counts.resentLate > 0) notice(`    so late that they may be stored twice: ${counts.resentLate}`);
  const { answers, messages } = counts;
  if (messages && messages.refused > 0)
    notice(`  refused before they arrived, ${tooLong}: ${messages.refused}`);
  const dropped = messages?.dropped ?? {};
  foreignSummary(foreignDatagrams(dropped));
  for (const [cause, chunks] of Object.entries(dropped))
    if (!toldElsewhere.has(cause))
      notice(`  chunks of messages dropped: ${chunks}, ${chunkLosses[cause] ?? `not valid (${cause})`}`);
  if (answers === undefined || answers.requests === 0) return;
  notice(`  answers sent: ${answers.sent}`);
  if (answers.unreachable > 0) notice(`    that came back unreachable: ${answers.unreachable} at least`);
  for (const [code, times] of Object.entries(answers.notSentBy))
    notice(`  answers not sent: ${times}, ${code}`);
  const { unknown, pending } = answers;
  if (unknown + pending > 0) notice(`  answers of which nobody knows: ${unknown + pending}`);
}

/** The counts on one line. A line that is too long has no count of datagrams in flight. */
export function statusText(counts: GatewayStats, columns: number): string {
  const { received, stored, shed, refused, inFlight } = counts;
  const short = `${received} received | ${stored} stored | ${shed} shed | ${refused} refused`;
  const line = `${short} | ${inFlight} in flight`;
  return line.length <= columns ? line : short;
}

function sumFields<Name extends string>(
  all: readonly Readonly<Record<Name, number>>[],
  fields: readonly Name[],
): Record<Name, number> {
  const sums = fields.map((name) => [name, all.reduce((sum, each) => sum + each[name], 0)]);
  return Object.fromEntries(sums) as Record<Name, number>;
}

function sumByName(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums = new Map<string, number>();
  for (const counts of all)
    for (const [name, many] of Object.entries(counts)) sums.set(name, (sums.get(name) ?? 0) + many);
  return Object.fromEntries(sums);
}
