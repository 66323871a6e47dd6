import type { VNode } from "preact";
import { useState } from "preact/hooks";

import { narrow, useMedia, useSeconds, useTopics } from "../parts/hooks.js";
import { Sparklines } from "../parts/sparklines.js";
import { VirtualList } from "../parts/virtual-list.js";
import { type Peer, activityOf } from "../state/peer.js";
import type { State } from "../state/state.js";
import { peerColumns, sortKeys } from "./peer-columns.js";
import "./peer-table.css";

interface PeerTableProps {
  readonly state: State;
  readonly id: string;
  readonly label: string;
  readonly source: number | undefined;
  readonly selected: number | undefined;
  readonly onSelect: (peer: number | undefined) => void;
}

const wideRow = 30;
/** With the source below the address. */
const sourcesRow = 42;
const narrowRow = 46;
const narrowSourcesRow = 60;

/** A row for each peer of a source, or of all. */
export function PeerTable({ state, id, label, source, selected, onSelect }: PeerTableProps): VNode {
  useTopics(state, "peers", "hello");
  useSeconds();
  const isNarrow = useMedia(narrow);
  const [sort, setSort] = useState({ id: "", isDown: true });
  const { nowMs } = state;
  const peers = [...state.peers.values()].filter(({ row }) => source === undefined || row.source === source);
  const key = sortKeys[sort.id];
  if (key !== undefined) {
    const sign = sort.isDown ? -1 : 1;
    const keys = new Map(peers.map((peer) => [peer, key(peer, nowMs)]));
    peers.sort((a, b) => sign * compare(keys.get(a), keys.get(b)));
  }
  const sources = source === undefined ? state.sources : [];
  const [oneLine, withSource] = isNarrow ? [narrowRow, narrowSourcesRow] : [wideRow, sourcesRow];
  const rowHeight = sources.length > 1 ? withSource : oneLine;
  const second = Math.floor(nowMs / 1000);
  return (
    <VirtualList<Peer>
      id={id}
      label={label}
      columns={peerColumns(() => state.nowMs, sources, isNarrow)}
      rows={peers}
      rowHeight={rowHeight}
      keyOf={({ row }) => String(row.id)}
      // A row without news is drawn again once a second, for its age, and once a minute later on.
      stampOf={({ row, revision }) =>
        `${revision}:${nowMs - row.lastMs < 70_000 ? second : Math.floor(second / 60)}`
      }
      classOf={({ row }) => `peer-row peer-${activityOf(row, nowMs)}`}
      active={selected === undefined ? undefined : String(selected)}
      onActive={(active) => onSelect(active === undefined ? undefined : Number(active))}
      sort={sort}
      onSort={(column) =>
        setSort({ id: column, isDown: sort.id === column ? !sort.isDown : column !== "peer" })
      }
      overlay={(shown, first) => (
        <Sparklines peers={shown} first={first} rowHeight={rowHeight} nowMs={nowMs} />
      )}
    />
  );
}

function compare(a: number | string | undefined, b: number | string | undefined): number {
  if (typeof a === "string" && typeof b === "string") return a.localeCompare(b, "en", { numeric: true });
  return Number(a) - Number(b);
}
