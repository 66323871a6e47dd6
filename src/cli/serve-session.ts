import { once } from "node:events";

import type { Endpoint } from "../core/address/address.js";
import type { Datagram, Socket } from "../index.js";
import { ownAddresses } from "../kernel/own-addresses.js";
import { type Message, messages, serve } from "../message/index.js";
import { count } from "../core/ledger/count-text.js";
import { type ExecJobs, JobFailure } from "./exec-jobs.js";
import { foreignDatagrams, foreignSummary, warnOfForeign } from "./foreign-datagrams.js";
import { Losses } from "./losses.js";
import { notice, onOutput, print, warn } from "./terminal.js";

/** The bytes and the source of a request. */
interface Request {
  readonly data: Buffer;
  readonly source: Endpoint;
  readonly channel?: number;
}

/** The requests to one socket, from the ready line to the summary. */
export class ServeSession {
  readonly #socket: Socket;
  readonly #jobs: ExecJobs;
  readonly #name: string;
  #requests = 0;
  #answered = 0;
  #failed = 0;

  /** @param name of the program, for reports. */
  constructor(s: Socket, jobs: ExecJobs, name: string) {
    this.#socket = s;
    this.#jobs = jobs;
    this.#name = JSON.stringify(name);
  }

  /** Answers datagrams until the signal. */
  async answerDatagrams(concurrency: number, stop: AbortSignal): Promise<void> {
    const isOwn = (source: Endpoint): boolean => ownAddresses(this.#socket.getsockname())(source);
    const answer = async (datagram: Datagram): Promise<Buffer | undefined> => {
      // Answers to this socket itself would be answered without end.
      if (datagram.source.port === 0 || isOwn(datagram.source)) return undefined;
      const output = await this.#run(datagram);
      return output.length > 0 ? output : undefined;
    };
    const onError = (error: unknown, { source }: Datagram): void => this.#report(error, source);
    const service = serve(this.#socket, answer, { concurrency, onError });
    await this.#until(stop, () => service());
  }

  /** Answers the requests of messages until the signal. */
  async answerMessages(stop: AbortSignal): Promise<void> {
    const m = messages(this.#socket);
    m.on("failed", (error, { source }) => this.#report(error, source));
    m.serve((request) => this.#run(request));
    void this.#discard(m);
    const foreign = (): number => foreignDatagrams(m.stats().dropped);
    const local = this.#socket.getsockname();
    const endWarning = warnOfForeign(() =>
      foreign() === 0
        ? undefined
        : `datagrams come to ${local} that are no messages: datagram request --message asks with messages, and datagram serve without --message answers any datagram`,
    );
    await this.#until(stop, () => m.close(), foreign);
    endWarning();
  }

  /** Waits for the signal, and ends the processes. @param foreign the number of datagrams of another format. */
  async #until(stop: AbortSignal, end: () => Promise<void>, foreign = (): number => 0): Promise<void> {
    const losses = new Losses([{ socket: this.#socket, answering: this.#socket, local: undefined }], false);
    if (!stop.aborted) await once(stop, "abort");
    losses.end();
    const ended = end();
    await this.#jobs.close();
    await ended;
    notice(`${count(this.#requests, "request")}: ${this.#answered} answered, ${this.#failed} failed`);
    foreignSummary(foreign());
    losses.summary();
  }

  /** Runs the program for a request, and returns its output. */
  async #run({ data, source, channel }: Request): Promise<Buffer> {
    this.#requests++;
    const { clock } = this.#socket;
    const start = clock.now();
    const { stdout, stderr } = await this.#jobs.run(data, {
      DATAGRAM_SOURCE_ADDRESS: source.host,
      DATAGRAM_SOURCE_PORT: String(source.port),
      DATAGRAM_LOCAL_PORT: String(this.#socket.getsockname().port),
      DATAGRAM_SIZE: String(data.length),
      ...(channel !== undefined && { DATAGRAM_CHANNEL: String(channel) }),
    });
    this.#answered++;
    showErrors(stderr);
    const time = `${Math.round(clock.now() - start)} ms`;
    const output = stdout.length > 0 ? `${count(stdout.length, "byte")} of output` : "no output";
    await print(`${onOutput("cyan", String(source))} ${count(data.length, "byte")}, ${output} in ${time}\n`);
    return stdout;
  }

  #report(error: unknown, source: Endpoint): void {
    if (this.#jobs.isClosed) return;
    this.#failed++;
    if (error instanceof JobFailure) showErrors(error.stderr);
    const why = error instanceof Error ? error.message : String(error);
    notice(`${this.#name} failed for ${source}: ${why}`);
  }

  /** Reads messages that are no requests, so that they take no memory. */
  async #discard(m: AsyncIterable<Message>): Promise<void> {
    let isFirst = true;
    for await (const { source } of m) {
      if (isFirst)
        warn(`a message of ${source} asks for no reply and is dropped: datagram receive takes such messages`);
      isFirst = false;
    }
  }
}

function showErrors(stderr: string): void {
  for (const line of stderr.trimEnd().split("\n")) if (line !== "") notice(`  ${line}`);
}
