/// <reference types="node" preserve="true" />
/**
 * Datagrams into streams of NATS JetStream, or into capture files, with an account of each datagram.
 *
 * `gateway.ts` reads a socket and joins the parts. `outbox.ts` has the account: the datagrams that wait (`fair-queue.ts`) and those
 * that are sent and not acknowledged. It sends them through a `Broker` (`broker.ts`), which `nats-broker.ts` implements with the
 * client of NATS, an optional peer dependency. `subjects.ts` and `message-encoder.ts` write what a message has beside its payload.
 * `bundle-encoder.ts` puts several datagrams into one message (`bundle.ts` is the format, `bundler.ts` what the outbox needs of it).
 * `answers.ts` sends answers to peers: `seen-peers.ts` knows where they are, `owners.ts` which gateway of a port saw one last, and
 * `answer-sender.ts` sends. `stream.ts` finds or creates the stream, and `losses.ts` counts losses by peer.
 *
 * Without a server, `folder-broker.ts` writes bundles to the files of `folder-files.ts`, as packets of `packet-encoder.ts`, with the
 * options of `folder-options.ts`.
 *
 * `consume.ts` reads a stream, with the options of `consume-options.ts`. `stream-state.ts` warns if they do not fit the stream.
 * `ordered-consumer.ts` gets the messages in their order, and `message-decoder.ts` checks each and makes it datagrams
 * (`stored-datagram.ts`), which `stored-replies.ts` answers.
 *
 * The types that a program sees name no type of the client, so that it can be missing where no server is used.
 *
 * @module gateway
 */

export type { AnswerIcmp, AnswerResult } from "./answer-results.js";
export { type ConsumeStats, type StreamReading, consume } from "./consume.js";
export type { ConsumeOptions, ConsumeWarning, StreamStart } from "./consume-options.js";
export { type Gateway, gateway } from "./gateway.js";
export type { FolderStats } from "./folder-files.js";
export type { FolderOptions } from "./folder-options.js";
export type { Losses, PeerLosses } from "./losses.js";
export type { AnswerOptions, GatewayOptions, NewStream, ShedPolicy } from "./options.js";
export type { AnswerStats, GatewayStats } from "./gateway-stats.js";
export type { StoredDatagram } from "./stored-datagram.js";
export { peerOfToken, peerToken } from "./subjects.js";
