import { Address, type Endpoint } from "datagram";
import { expect, test } from "vitest";

import { Model } from "../../src/watch/model/model.js";
import { RelayCounts } from "../../src/watch/sources/relay-counts.js";

function passage(host: string, port: number, dropped?: string): Parameters<RelayCounts["entered"]>[0] {
  const [sender, destination] = [new Address(host, port), new Address("10.0.0.1", 9)] as Endpoint[];
  return {
    ...{ direction: "up", sender: sender!, destination: destination!, dropped },
    ...{ delayMs: 0, delayedBy: "", duplicatedBy: undefined, reorderedBy: undefined, corruptedBy: undefined },
  };
}

/** How many senders of a host a page gets. */
function rowsOf(counts: RelayCounts, host: string): number {
  return counts.state().senders.filter(({ address }) => address.startsWith(`${host}:`)).length;
}

test("a datagram that the relay refused adds no sender, and counts by its cause", () => {
  const counts = new RelayCounts();
  counts.entered(passage("10.0.0.7", 1), 1000);
  for (let port = 1; port <= 3000; port++)
    counts.entered(passage("10.9.9.9", port, "limit of clients"), 1001);
  counts.entered(passage("10.0.0.1", 9, "loop of the relay"), 1002);
  expect(counts.state()).toMatchObject({ senders: [{ address: "10.0.0.7:1", arrived: 1 }], others: 0 });
  const model = new Model();
  counts.report(model, 0, 2000);
  expect(model.losses.since(0).map(({ sentence, datagrams }) => [sentence, datagrams])).toEqual([
    ["The relay dropped 3000 of 3002 datagrams so far, by its settings: limit of clients.", 3000],
    ["The relay dropped 1 of 3002 datagrams so far, by its settings: loop of the relay.", 1],
  ]);
});

test("senders of one datagram are forgotten first, and then those that were silent longest", () => {
  const counts = new RelayCounts();
  for (let twice = 0; twice < 2; twice++)
    for (let port = 1; port <= 100; port++) counts.entered(passage("10.0.0.7", port), 1000);
  for (let port = 1; port <= 5000; port++) counts.entered(passage("10.9.9.9", port), 900);
  expect(rowsOf(counts, "10.0.0.7")).toBe(100);
  expect(counts.state().others).toBe(1024 - 200);
  for (let twice = 0; twice < 2; twice++)
    for (let port = 1; port <= 1024; port++) counts.entered(passage("10.0.0.8", port), 2000);
  counts.entered(passage("10.0.0.9", 1), 3000);
  expect([rowsOf(counts, "10.0.0.7"), rowsOf(counts, "10.0.0.8"), rowsOf(counts, "10.0.0.9")]).toEqual([
    0, 199, 1,
  ]);
});
