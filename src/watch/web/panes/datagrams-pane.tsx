/** The list of datagrams, its filter, and the datagram that is open. */

import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { type Source, limits } from "../../protocol.js";
import { count, preciseTime } from "../parts/format.js";
import { narrow, useMedia, useTopics } from "../parts/hooks.js";
import { type Column, VirtualList } from "../parts/virtual-list.js";
import { type Client, type Filter, everything } from "../state/client.js";
import type { ListedDatagram } from "../state/state.js";
import { DatagramDetail } from "./datagram-detail.js";
import "../parts/filter.css";
import "./datagrams-pane.css";

interface DatagramsPaneProps {
  readonly client: Client;
  readonly source: number | undefined;
  readonly peer: number | undefined;
  readonly onPeer: (peer: number | undefined) => void;
  readonly isPaused: boolean;
  readonly onPause: (isPaused: boolean) => void;
  readonly onAnswer: (address: string, source: number) => void;
  /** The number of a datagram to open when it is in the list. */
  readonly toOpen: number | undefined;
  readonly onOpened: () => void;
}

/** How long the text of the filter must stay the same before it is used. */
const typingMs = 200;

export function DatagramsPane(props: DatagramsPaneProps): VNode {
  const { client, source, peer, onPeer, isPaused, onPause, onAnswer, toOpen, onOpened } = props;
  const { state } = client;
  useTopics(state, "datagrams", "hello", "connection");
  const isNarrow = useMedia(narrow);
  const [filter, setFilter] = useState(everything);
  const [active, setActive] = useState<string | undefined>(undefined);
  const [open, setOpen] = useState<ListedDatagram | undefined>(undefined);
  const list = useRef<HTMLElement>(null);
  const lastFilter = useRef(filter);
  useEffect(() => {
    const ask = (): void => {
      if (isPaused) client.pauseList();
      else client.list({ ...filter, source, peer });
    };
    // Each key that is typed changes the filter.
    const isTyped = filter !== lastFilter.current;
    lastFilter.current = filter;
    if (!isTyped) {
      ask();
      return;
    }
    const timer = setTimeout(ask, typingMs);
    return () => clearTimeout(timer);
  }, [filter, source, peer, isPaused]);
  useEffect(() => () => client.pauseList(), []);
  useEffect(() => {
    if (toOpen === undefined) return;
    const found = state.datagrams.find(
      ({ row, connection }) => row.id === toOpen && connection === state.connections,
    );
    if (found === undefined) return;
    setActive(found.key);
    setOpen(found);
    onOpened();
  });

  const address = peer === undefined ? undefined : state.peers.get(peer)?.row.address;
  const close = (): void => {
    setOpen(undefined);
    list.current?.querySelector<HTMLElement>(".list")?.focus();
  };
  return (
    <div class={`datagrams-pane${open === undefined ? "" : " with-detail"}`}>
      <section class="card table-card" aria-label="Datagrams" ref={list}>
        <FilterBar filter={filter} onFilter={setFilter} peer={address ?? peer} onPeer={onPeer} />
        <div class="card-line list-state">
          <button type="button" aria-pressed={isPaused} onClick={() => onPause(!isPaused)}>
            {isPaused ? "▶ Resume" : "❚❚ Pause"}
          </button>
          <span class="muted" role="status">
            {count(state.datagrams.length)} shown
            {state.datagramsSkipped > 0 && `, ${count(state.datagramsSkipped)} left out: they were too many`}
            {isPaused && ", paused"}
          </span>
        </div>
        <VirtualList<ListedDatagram>
          id="datagrams"
          label="Datagrams, the newest last"
          columns={columns(isNarrow, sidesOf(state.sources))}
          rows={state.datagrams}
          rowHeight={isNarrow ? 44 : 26}
          keyOf={({ key }) => key}
          stampOf={({ connection }) => String(connection === state.connections)}
          classOf={({ row, connection }) =>
            `datagram-row datagram-${row.direction}${connection === state.connections ? "" : " earlier"}`
          }
          active={active}
          onActive={setActive}
          onOpen={setOpen}
          follows
          removed={state.datagramsRemoved}
        />
        {state.datagrams.length === 0 && <p class="nothing muted">No datagram matches yet.</p>}
      </section>
      {open !== undefined && (
        <DatagramDetail
          key={open.key}
          client={client}
          datagram={open}
          onClose={close}
          onPeer={onPeer}
          onAnswer={onAnswer}
        />
      )}
    </div>
  );
}

/** The sides of a relay, by the numbers of their sources. */
function sidesOf(sources: readonly Source[]): ReadonlyMap<number, "before" | "after"> {
  return new Map(
    sources.flatMap(({ id, kind }) => (kind === "before" || kind === "after" ? [[id, kind] as const] : [])),
  );
}

function columns(
  isNarrow: boolean,
  sides: ReadonlyMap<number, "before" | "after">,
): readonly Column<ListedDatagram>[] {
  const side = ({ row }: ListedDatagram): VNode | null => {
    const name = sides.get(row.source);
    return name === undefined ? null : (
      <span class={`side side-${name}`} title={`${name} the faults of the relay`}>
        {name}
      </span>
    );
  };
  const time: Column<ListedDatagram> = {
    id: "time",
    title: "Time",
    help: "When it arrived or was sent, in the time zone of this browser.",
    cell: ({ row }) => (isNarrow ? preciseTime(row.timestamp).slice(0, 12) : preciseTime(row.timestamp)),
  };
  const direction: Column<ListedDatagram> = {
    id: "direction",
    title: "Way",
    help: "in: received. out: sent.",
    cell: ({ row }) => (
      <>
        <span aria-hidden="true">{row.direction === "in" ? "↓" : "↑"}</span> {row.direction}
      </>
    ),
  };
  const size: Column<ListedDatagram> = {
    id: "size",
    title: "Bytes",
    help: "Bytes of the payload.",
    isNumber: true,
    cell: ({ row }) => count(row.size),
  };
  const preview: Column<ListedDatagram> = {
    id: "preview",
    title: "Payload",
    help: "The beginning of the payload as text, or as hex digits.",
    cell: (listed) => {
      const { row } = listed;
      return (
        <>
          {isNarrow && side(listed)}
          {row.truncated && <strong class="problem">cut </strong>}
          {row.lostBefore > 0 && <strong class="problem">≥{count(row.lostBefore)} lost before </strong>}
          <bdi>{row.looks === "empty" ? "(empty)" : row.preview}</bdi>
        </>
      );
    },
  };
  const from: Column<ListedDatagram> = {
    id: "from",
    title: isNarrow ? "Peer" : "From",
    help: "The address that sent it.",
    cell: (listed) => {
      const { row } = listed;
      return (
        <>
          {!isNarrow && side(listed)}
          {isNarrow && row.direction === "out" ? row.to : row.from}
        </>
      );
    },
  };
  if (isNarrow) return [time, direction, from, size, preview];
  return [
    time,
    direction,
    from,
    { id: "to", title: "To", help: "The address that it was sent to.", cell: ({ row }) => row.to },
    size,
    {
      id: "looks",
      title: "Kind",
      help: "What the payload looks like.",
      cell: ({ row }) => row.looks,
    },
    preview,
  ];
}

interface FilterBarProps {
  readonly filter: Filter;
  readonly onFilter: (filter: Filter) => void;
  /** The address of the peer, or its number if it is no longer known. */
  readonly peer: string | number | undefined;
  readonly onPeer: (peer: undefined) => void;
}

function FilterBar({ filter, onFilter, peer, onPeer }: FilterBarProps): VNode {
  const size = (value: string): number | undefined =>
    value === "" ? undefined : Math.max(0, Math.trunc(Number(value)));
  return (
    <form class="filter" role="search" aria-label="Filter" onSubmit={(event) => event.preventDefault()}>
      <label class="grows">
        <span class="label">Text or address</span>
        <input
          id="filter-text"
          type="search"
          autocomplete="off"
          spellcheck={false}
          maxLength={limits.filterCharacters}
          value={filter.text}
          onInput={({ currentTarget }) => onFilter({ ...filter, text: currentTarget.value })}
        />
      </label>
      <label>
        <span class="label">Direction</span>
        <select
          value={filter.direction ?? ""}
          onChange={({ currentTarget: { value } }) =>
            onFilter({ ...filter, direction: value === "in" || value === "out" ? value : undefined })
          }
        >
          <option value="">both</option>
          <option value="in">in</option>
          <option value="out">out</option>
        </select>
      </label>
      <label>
        <span class="label">Bytes from</span>
        <input
          type="number"
          min="0"
          max="65535"
          value={filter.minSize ?? ""}
          onInput={({ currentTarget }) => onFilter({ ...filter, minSize: size(currentTarget.value) })}
        />
      </label>
      <label>
        <span class="label">to</span>
        <input
          type="number"
          min="0"
          max="65535"
          value={filter.maxSize ?? ""}
          onInput={({ currentTarget }) => onFilter({ ...filter, maxSize: size(currentTarget.value) })}
        />
      </label>
      {peer !== undefined && (
        <button
          type="button"
          class="chip"
          aria-label={`Show all peers, not only ${peer}`}
          onClick={() => onPeer(undefined)}
        >
          {peer} <span aria-hidden="true">×</span>
        </button>
      )}
    </form>
  );
}
