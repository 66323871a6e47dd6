/** The first screen: who sends, their pictures, and what was lost. */

import type { VNode } from "preact";

import type { Source } from "../../protocol.js";
import { Chart, type Line } from "../parts/chart.js";
import { bytes, count, datagrams, rate } from "../parts/format.js";
import { useSeconds, useTopics } from "../parts/hooks.js";
import type { Client } from "../state/client.js";
import type { Rates } from "../state/rates.js";
import type { State } from "../state/state.js";
import { Guide } from "./guide.js";
import { Losses } from "./losses.js";
import { PeerTable } from "./peer-table.js";
import { RelayCard } from "./relay-card.js";
import { Pictures } from "./pictures.js";
import "../parts/facts.css";
import "./peers-pane.css";

interface PeersPaneProps {
  readonly client: Client;
  readonly source: number | undefined;
  readonly selected: number | undefined;
  readonly onSelect: (peer: number | undefined) => void;
  readonly onDatagrams: (peer: number) => void;
  readonly onAnswer: (peer: number) => void;
}

export function PeersPane({
  client,
  source,
  selected,
  onSelect,
  onDatagrams,
  onAnswer,
}: PeersPaneProps): VNode {
  const { state } = client;
  useTopics(state, "hello", "peers");
  const shown = state.sources.filter(({ id }) => source === undefined || id === source);
  const hasPeers = [...state.peers.values()].some(({ row }) => source === undefined || row.source === source);
  // The two sides of a relay have a table each, one below the other: side by side, most columns would be cut.
  const tables = hasBothSides(shown) ? shown : [undefined];
  return (
    <div class="peers-pane">
      <div class="peers-main">
        {hasPeers ? (
          <>
            <RateChart state={state} sources={shown} selected={selected} />
            {selected !== undefined && (
              <SelectedPeer
                state={state}
                selected={selected}
                onDatagrams={onDatagrams}
                onAnswer={onAnswer}
                onClose={() => onSelect(undefined)}
              />
            )}
            <RelayCard state={state} />
            <div class="tables">
              {tables.map((of) => (
                <section
                  class="card table-card"
                  key={of?.id}
                  aria-label={of === undefined ? "Peers" : sideOf(of)}
                >
                  {of !== undefined && <h2 class="card-title">{sideOf(of)}</h2>}
                  <PeerTable
                    state={state}
                    id={`peers-${of?.id ?? "all"}`}
                    label={of === undefined ? "Peers" : `Peers, ${sideOf(of)}`}
                    source={of?.id ?? source}
                    selected={selected}
                    onSelect={onSelect}
                  />
                </section>
              ))}
            </div>
          </>
        ) : (
          <Guide client={client} sources={shown} />
        )}
      </div>
      <aside class="peers-side" aria-label="Pictures and losses">
        <Pictures client={client} source={source} />
        <Losses state={state} source={source} onSelect={onSelect} />
      </aside>
    </div>
  );
}

/** Whether these are both sides of a relay. Most datagrams are on both, so their sum has no meaning. */
function hasBothSides(sources: readonly Source[]): boolean {
  return sources.length > 1 && sources.some(({ kind }) => kind === "after");
}

function sideOf({ kind, label }: Source): string {
  if (kind === "before") return `Before the faults: ${label}`;
  return kind === "after" ? `After the faults: ${label}` : label;
}

interface RateChartProps {
  readonly state: State;
  readonly sources: readonly Source[];
  readonly selected: number | undefined;
}

/** The rate of the selected peer, or of the sources. */
function RateChart({ state, sources, selected }: RateChartProps): VNode {
  useTopics(state, "peers", "losses");
  useSeconds();
  const { nowMs } = state;
  const peer = selected === undefined ? undefined : state.peers.get(selected);
  const lines: RateLine[] =
    peer === undefined
      ? sources.flatMap((source) => {
          const found = state.sourceRates.get(source.id);
          if (found === undefined) return [];
          const { datagrams: rates, bytes: byteRates } = found;
          return [{ label: sideOf(source), rates, byteRates }];
        })
      : [{ label: peer.row.address, rates: peer.rates }];
  const isApart = peer === undefined && hasBothSides(sources);
  const perSecond = rateOf(lines, nowMs);
  const now = isApart
    ? lines.map((line) => `${line.label} ${rate(rateOf([line], nowMs))}`).join(", ")
    : rate(perSecond);
  const losses = [...state.losses.values()]
    .filter((loss) => loss.source === undefined || sources.some(({ id }) => id === loss.source))
    .map(({ atMs }) => Math.floor(atMs / 1000));
  const title = peer === undefined ? "All peers" : peer.row.address;
  return (
    <section class="card chart-card" aria-label="Rate">
      <div class="card-line">
        <h2 class="card-title">{title}</h2>
        {!isApart && <span class="figure">{rate(perSecond)}</span>}
        {peer === undefined && !isApart && <span class="muted">{byteRate(lines, nowMs)}</span>}
        {peer === undefined && lines.length > 1 && (
          <span class="legend">
            {lines.map((line, index) => (
              <span key={line.label} class={`legend-item legend-${index % 3}`}>
                {line.label}
                {isApart && (
                  <>
                    {" "}
                    <span class="figure">{rate(rateOf([line], nowMs))}</span>{" "}
                    <span class="muted">{byteRate([line], nowMs)}</span>
                  </>
                )}
              </span>
            ))}
          </span>
        )}
        {peer === undefined && (
          <span class="muted at-end">{`${count(state.totalPeers)} peers${isApart ? ", on both sides" : ""}`}</span>
        )}
      </div>
      <Chart
        lines={lines}
        nowMs={nowMs}
        losses={losses}
        label={`Datagrams a second of ${title} in the last minute: now ${now}`}
      />
    </section>
  );
}

/** A line of the chart, with the bytes of a source. */
interface RateLine extends Line {
  readonly byteRates?: Rates;
}

function rateOf(lines: readonly RateLine[], nowMs: number): number {
  return lines.reduce((sum, { rates }) => sum + rates.perSecond(nowMs), 0);
}

function byteRate(lines: readonly RateLine[], nowMs: number): string {
  return `${bytes(lines.reduce((sum, { byteRates }) => sum + (byteRates?.perSecond(nowMs) ?? 0), 0))}/s`;
}

interface SelectedPeerProps {
  readonly state: State;
  readonly selected: number;
  readonly onDatagrams: (peer: number) => void;
  readonly onAnswer: (peer: number) => void;
  readonly onClose: () => void;
}

/** Every count of the selected peer, also those that a narrow table has no room for. */
function SelectedPeer({ state, selected, onDatagrams, onAnswer, onClose }: SelectedPeerProps): VNode | null {
  const peer = state.peers.get(selected);
  if (peer === undefined) return null;
  const { row } = peer;
  const source = state.sources.find(({ id }) => id === row.source);
  const facts: readonly (readonly [string, string])[] = [
    ["Received", `${datagrams(row.datagrams)}, ${bytes(row.bytes)}`],
    ["Sent to it", `${datagrams(row.sent)}, ${bytes(row.sentBytes)}`],
    ["Sizes", `${count(row.minSize)}–${count(row.maxSize)} bytes, ${count(row.large)} above 1,400`],
    ["Gaps", count(row.gaps)],
    ["Lost before", row.lostBefore === 0 ? "0" : `at least ${count(row.lostBefore)}`],
    ["Cut", count(row.truncated)],
    ["ICMP errors", count(row.icmp)],
  ];
  return (
    <section class="card selected-peer" aria-label={`Peer ${row.address}`}>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <div class="buttons">
        <button type="button" onClick={() => onDatagrams(row.id)}>
          Datagrams
        </button>
        {source?.sends === true && (
          <button type="button" onClick={() => onAnswer(row.id)}>
            Answer
          </button>
        )}
        <button type="button" class="quiet" onClick={onClose}>
          Show all
        </button>
      </div>
    </section>
  );
}
