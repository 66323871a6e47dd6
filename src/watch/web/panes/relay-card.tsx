import type { VNode } from "preact";

import type { RelaySender } from "../../protocol.js";
import { count } from "../parts/format.js";
import { useTopics } from "../parts/hooks.js";
import type { State } from "../state/state.js";
import "./relay-card.css";

const directions = { up: "to the targets", down: "to clients" } as const;

/** What a relay did to the datagrams of each sender: arrived, left, and why not. */
export function RelayCard({ state }: { readonly state: State }): VNode | null {
  useTopics(state, "relay", "hello");
  const { relay } = state;
  if (relay === undefined || relay.senders.length === 0) return null;
  return (
    <section class="card relay-card" aria-label="The relay">
      <h2 class="card-title">
        What the relay does{" "}
        <span class="muted">by its settings: these losses are no fault of the network</span>
      </h2>
      {/* On a phone, each sender is a block, and its cells have their titles. */}
      <div class="relay-scroll" role="region" aria-label="Datagrams of each sender" tabIndex={0}>
        <table class="relay-table">
          <thead>
            <tr>
              <th scope="col">Sender</th>
              <th scope="col">Way</th>
              <th scope="col">Arrived</th>
              <th scope="col">Left</th>
              <th scope="col">Dropped, by</th>
              <th scope="col">Delay added</th>
              <th scope="col">Twice</th>
              <th scope="col">Reordered</th>
              <th scope="col">Corrupted</th>
            </tr>
          </thead>
          <tbody>
            {relay.senders.map((sender) => (
              <Sender key={`${sender.direction} ${sender.address}`} sender={sender} />
            ))}
          </tbody>
        </table>
      </div>
      {relay.others > 0 && <p class="muted">{count(relay.others)} other senders are not shown.</p>}
    </section>
  );
}

function Sender({ sender }: { readonly sender: RelaySender }): VNode {
  const { address, direction, arrived, forwarded, dropped, duplicated, reordered, corrupted } = sender;
  const { meanDelayMs, maxDelayMs } = sender;
  return (
    <tr>
      <th scope="row" class="address">
        {address}
      </th>
      <td data-title="Way">{directions[direction]}</td>
      <td class="number" data-title="Arrived">
        {count(arrived)}
      </td>
      <td class="number" data-title="Left">
        {count(forwarded)}
      </td>
      <td class="relay-dropped" data-title="Dropped, by">
        {dropped.length === 0
          ? "–"
          : dropped.map(({ by, datagrams }) => (
              <span key={by} class="relay-cause">
                <strong>{count(datagrams)}</strong> {by}
              </span>
            ))}
      </td>
      <td class="relay-delay" data-title="Delay added">
        {maxDelayMs === 0 ? "–" : `${meanDelayMs.toFixed(1)} ms, max ${maxDelayMs.toFixed(1)} ms`}
      </td>
      <td class="number" data-title="Twice">
        {count(duplicated)}
      </td>
      <td class="number" data-title="Reordered">
        {count(reordered)}
      </td>
      <td class="number" data-title="Corrupted">
        {count(corrupted)}
      </td>
    </tr>
  );
}
