/** The peers that a gateway can answer, against a simple model. */

import fc from "fast-check";
import { expect, test } from "vitest";

import { Address, type Endpoint } from "../../src/core/address/address.js";
import { SeenPeers } from "../../src/gateway/seen-peers.js";

const address = new Address("10.0.0.7", 9000) as Endpoint;
const tokens = Array.from({ length: 8 }, (_, index) => `peer${index}`);
/** A datagram of a peer, or a look at the time; and the milliseconds before it. */
const steps = fc.array(fc.record({ token: fc.option(fc.constantFrom(...tokens)), ms: fc.nat({ max: 3 }) }), {
  maxLength: 100,
});

test("the least recently seen peers are forgotten first, and old ones are not found", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 12 }),
      steps,
      (most, withinMs, all) => {
        const peers = new SeenPeers(most, withinMs);
        /** The least recently seen peer first. */
        let model: { readonly token: string; readonly seenMs: number }[] = [];
        let [now, forgotten] = [0, 0];
        for (const { token, ms } of all) {
          now += ms;
          const isOld = ({ seenMs }: { readonly seenMs: number }): boolean => now - seenMs > withinMs;
          if (token === null) {
            peers.prune(now);
            model = model.filter((each) => !isOld(each));
          } else {
            peers.see(token, address, undefined, now);
            model = [...model.filter((each) => each.token !== token), { token, seenMs: now }];
            const first = model.length > most ? model.shift() : undefined;
            if (first && !isOld(first)) forgotten++;
          }
          expect([peers.size, peers.forgotten]).toEqual([model.length, forgotten]);
          const found = tokens.map((each) => peers.find(each, now)?.seenMs);
          const recent = tokens.map(
            (each) => model.find((other) => other.token === each && !isOld(other))?.seenMs,
          );
          expect(found).toEqual(recent);
        }
      },
    ),
  );
});
