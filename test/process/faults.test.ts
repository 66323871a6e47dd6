/** With any answer of the kernel to a batch, each datagram is sent once and in order, or fails with its own error. */

import { AF_INET, AF_INET6 } from "datagram";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { type Outcome, lasting, maxOutcomes, whyNoFaults } from "./faults.js";
import { type Letter, Net, type Way, letter, ways } from "./sends-with-faults.js";

const seed = 20_240_719;
const runs = 150;

const families = [
  ["IPv4", AF_INET],
  ["IPv6", AF_INET6],
] as const;

/** Sizes of the datagrams to one peer, in bytes, by message: runs that leave as one packet, and single datagrams. */
const messages = [many(20, 200), [300], [0], [...many(10, 100), 60], [0], many(5, 1400)];
/** Errors after which the same datagrams are sent again. */
const passing = ["EINTR", "EAGAIN", "ENOBUFS"] as const;
/** Errors of a run whose datagrams can be sent one by one. */
const ofRuns = ["EIO", "EINVAL", "EMSGSIZE"] as const;
/** A payload size that any path carries, in bytes. */
const sureBytes = 1200;
/** The largest number of datagrams in a run. A local rule rejects all datagrams of a run together. */
const mostSegments = 128;
/** Errors that belong to the datagram that was sent. */
const own = ["EHOSTUNREACH", "EPERM"] as const;
/** An error that only a connected peer causes. On an unconnected socket it is about another datagram. */
const ofPeers = "ECONNREFUSED";

/** Bytes of a receive buffer that may be in use: Linux gives at least 416 KiB. */
const mostUnread = 400_000;
const peers = 6;

describe.skipIf(whyNoFaults !== undefined)(
  `over native${whyNoFaults === undefined ? "" : ` (${whyNoFaults})`}`,
  () => {
    for (const [ip, family] of families) {
      // semantics: send-kernel-error
      test.for(ways)(
        `one error at any message of a batch fails no other datagram: %s over ${ip}`,
        async (way, t) => {
          const net = await Net.open(t, family, destinations(way));
          const letters = inTurn(destinations(way));
          for (let at = 0; at < messages.length * destinations(way); at++) {
            const first = firstOf(at, destinations(way));
            const run = messages[at % messages.length]!.length > 1;
            for (const code of [...passing, ...ofRuns, ...own, ofPeers] as const) {
              const refused = run && isOneOf(ofRuns, code);
              const { failed, stats, capabilities, unmet } = await net.exchange(way, letters, [
                ...upTo(at),
                ...lasting(code),
              ]);
              const passes = isOneOf(passing, code) || (code === ofPeers && way !== "send in one tick");
              // A local rule sees a run as one packet, and a sendMany reports only the first failure.
              const wide =
                code === "EPERM" && !way.startsWith("sendMany") ? messages[at % messages.length]!.length : 1;
              const failing = many(wide, first).map((from, n) => from + n * destinations(way));
              const hit = refused || passes ? [] : failing.map((index) => ({ index, code }));
              expect({ at, code, failed, unmet }).toEqual({ at, code, failed: hit, unmet: 0 });
              // For larger datagrams, older kernels report a too narrow path with this error.
              const cause =
                code === "EINVAL" && messages[at % messages.length]![0]! > sureBytes ? "EMSGSIZE" : code;
              expect(stats.segmentationRefused).toEqual(refused ? { [cause]: 1 } : {});
              expect(capabilities.segmentation.available).toBe(!refused || cause !== "EINVAL");
            }
          }
        },
      );

      // semantics: segmentation-refused
      test.for(ways)(
        `if the kernel refuses the datagrams of a run, only the first fails: %s over ${ip}`,
        async (way, t) => {
          const net = await Net.open(t, family, destinations(way));
          const letters = inTurn(destinations(way));
          for (const code of ofRuns) {
            for (const again of [...ofRuns, ...own]) {
              const { failed, stats, unmet } = await net.exchange(way, letters, [
                ...lasting(code),
                ...lasting(again),
              ]);
              expect({ code, failed, unmet }).toEqual({
                code,
                failed: [{ index: 0, code: again }],
                unmet: 0,
              });
              expect(stats.segmentationRefused).toEqual({});
            }
          }
        },
      );

      // semantics: send-kernel-error
      test.for(ways)(
        `if a call sends fewer messages than it was given, the rest is sent next: %s over ${ip}`,
        async (way, t) => {
          const net = await Net.open(t, family, destinations(way));
          const count = messages.length * destinations(way);
          for (let most = 1; most <= count; most++) {
            const { failed, stats } = await net.exchange(
              way,
              inTurn(destinations(way)),
              many(maxOutcomes, most),
            );
            expect({ most, failed }).toEqual({ most, failed: [] });
            expect(stats.systemCalls?.send).toBe(Math.ceil(count / most));
          }
        },
      );

      // semantics: send-kernel-error
      test(`with any answers of the kernel, nothing is lost, duplicated or overtaken (${runs} runs, seed ${seed}), over ${ip}`, async (t) => {
        const net = await Net.open(t, family, peers);
        let [largest, failures, refusals] = [0, 0, 0];
        const property = fc.asyncProperty(
          fc.constantFrom(...ways),
          groups,
          plans,
          async (way, groups, outcomes) => {
            const letters = lettersOf(groups, destinations(way) === 1);
            const { stats, capabilities } = await net.exchange(way, letters, outcomes);
            const planned = (code: string): number => outcomes.filter((each) => each === code).length;
            for (const [code, count] of Object.entries(stats.sendErrors)) {
              failures += count;
              expect(isOneOf([...ofRuns, ...own, ofPeers], code), code).toBe(true);
              expect(count, code).toBeLessThanOrEqual(planned(code) * (code === "EPERM" ? mostSegments : 1));
            }
            for (const [code, count] of Object.entries(stats.segmentationRefused ?? {})) {
              expect(isOneOf(ofRuns, code), code).toBe(true);
              const most = planned(code) + (code === "EMSGSIZE" ? planned("EINVAL") : 0);
              expect(count, code).toBeLessThanOrEqual(most);
              refusals += count;
            }
            expect(capabilities.segmentation.available).toBe(stats.segmentationRefused?.EINVAL === undefined);
            largest = Math.max(largest, letters.length);
          },
        );
        await fc.assert(property, { seed, numRuns: runs, endOnFailure: true });
        // The runs had real cases: batches of more than one call, failures and refusals.
        expect(largest).toBeGreaterThan(1024);
        expect(failures).toBeGreaterThan(runs);
        expect(refusals).toBeGreaterThan(runs / 3);
      });
    }
  },
);

/** Datagrams of one size to these peers in turn, and a shorter one to each at the end. */
interface Group {
  readonly size: number;
  readonly count: number;
  readonly to: readonly number[];
  readonly last: number;
}

const groups = fc.array(
  fc.record<Group>({
    size: fc.oneof(fc.nat(300), fc.constantFrom(0, 1, 64, 1400), fc.nat(2000)),
    count: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 20, max: 400 })),
    to: fc.uniqueArray(fc.nat(peers - 1), { minLength: 1, maxLength: peers }),
    last: fc.nat(300),
  }),
  { minLength: 1, maxLength: 8, size: "max" },
);

/** At most that many messages, or all of them. */
const short = fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 12 }));

const plans = fc
  .array(
    fc.oneof(
      short.map((most): Outcome[] => [most]),
      fc.constantFrom<Outcome[]>(["EINTR"], ["EAGAIN"], ["ENOBUFS"], ["ECONNREFUSED"], ["EPERM"]),
      // Datagrams that are refused as a run are sent one by one, or fail all the same.
      fc.tuple(
        fc.constantFrom<Outcome>(...ofRuns),
        fc.oneof(short, fc.constantFrom<Outcome>(...ofRuns, ...own, ofPeers)),
      ),
    ),
    { maxLength: maxOutcomes / 2, size: "max" },
  )
  .map((steps) => steps.flat());

/** The letters of groups, up to the room of the receive buffers. */
function lettersOf(groups: readonly Group[], one: boolean): Letter[] {
  const letters: Letter[] = [];
  const unread = many(peers, 0);
  for (const { size, count, to, last } of groups) {
    for (let at = 0; at <= count * to.length; at++) {
      const peer = one ? 0 : to[at % to.length]!;
      const bytes = at < count * to.length ? size : last;
      // The most that the kernel counts for a datagram: its buffer, a power of two, and the metadata of the buffer.
      unread[peer]! += 1024 + 2 * bytes;
      if (unread[peer]! <= mostUnread) letters.push(letter(bytes, peer));
    }
  }
  return letters;
}

/** The datagrams of `messages` to each of `count` peers in turn. */
function inTurn(count: number): Letter[] {
  return messages.flat().flatMap((bytes) => Array.from({ length: count }, (_, to) => letter(bytes, to)));
}

/** The index of the first datagram of a message among those of `inTurn`, which are sent peer by peer. */
function firstOf(message: number, count: number): number {
  const before = messages.slice(0, message % messages.length).flat().length;
  return before * count + Math.floor(message / messages.length);
}

/** The outcome of a call that sends the messages before this one. */
function upTo(message: number): number[] {
  return message > 0 ? [message] : [];
}

function destinations(way: Way): number {
  return way === "sendMany" || way === "send in one tick" ? 1 : 2;
}

function isOneOf(codes: readonly string[], code: string): boolean {
  return codes.includes(code);
}

function many(count: number, value: number): number[] {
  return Array<number>(count).fill(value);
}
