import type { VNode } from "preact";

import type { Source } from "../../protocol.js";
import { age, bytes, count, rate } from "../parts/format.js";
import type { Column } from "../parts/virtual-list.js";
import { type Activity, type Peer, activityOf } from "../state/peer.js";

/** Payloads above this size may not pass every network in one packet. */
const sizeLine = 1400;
/** The sizes that the bar of a peer can show: larger ones reach its end. */
const sizeScale = 2000;

const activities: Readonly<Record<Activity, readonly [mark: string, word: string]>> = {
  live: ["●", "live"],
  silent: ["■", "silent"],
  idle: ["○", "idle"],
};

/** The columns of the table of peers. `nowMs` is read when a cell is drawn. */
export function peerColumns(
  now: () => number,
  sources: readonly Source[],
  isNarrow: boolean,
): readonly Column<Peer>[] {
  const several = sources.length > 1;
  const state: Column<Peer> = {
    id: "state",
    title: "State",
    help: "live: a datagram came in the last 2 seconds. silent: it sent regularly and has stopped. idle: neither.",
    cell: ({ row }) => <StateMark activity={activityOf(row, now())} />,
  };
  const address: Column<Peer> = {
    id: "peer",
    title: "Peer",
    help: "The address and port that the datagrams come from.",
    cell: ({ row }) => (
      <>
        <span class="address" title={row.address}>
          {row.address}
        </span>
        {several && <OfSource source={sources.find(({ id }) => id === row.source)} sources={sources} />}
      </>
    ),
  };
  const rateColumn: Column<Peer> = {
    id: "rate",
    title: isNarrow ? "Rate" : "Rate, last minute",
    help: "Datagrams a second. Each bar is one second, and each peer has its own scale.",
    cell: ({ rates }) => <span class="rate">{rate(rates.perSecond(now()))}</span>,
  };
  const lost: Column<Peer> = {
    id: "lost",
    title: "Lost",
    help: "Datagrams that the kernel dropped just before one of this peer, at least. They can be those of other peers.",
    isNumber: true,
    cell: ({ row }) => problem(row.lostBefore, "≥"),
  };
  if (isNarrow) return [state, address, rateColumn, lost];
  return [
    state,
    address,
    rateColumn,
    {
      id: "datagrams",
      title: "Datagrams",
      help: "Datagrams that arrived from the peer.",
      isNumber: true,
      cell: ({ row }) => count(row.datagrams),
    },
    {
      id: "bytes",
      title: "Bytes",
      help: "Payload bytes that arrived from the peer.",
      isNumber: true,
      cell: ({ row }) => bytes(row.bytes),
    },
    {
      id: "sizes",
      title: "Sizes",
      help: "The smallest and the largest payload. The line is at 1,400 bytes: larger datagrams may be fragmented or dropped.",
      cell: ({ row }) =>
        row.datagrams === 0 ? "–" : <Sizes min={row.minSize} max={row.maxSize} large={row.large} />,
    },
    {
      id: "last",
      title: "Last",
      help: "How long ago its last datagram arrived.",
      isNumber: true,
      cell: ({ row }) => (row.datagrams === 0 ? "–" : age(now() - row.lastMs)),
    },
    {
      id: "gaps",
      title: "Gaps",
      help: "Pauses that were much longer than its usual interval.",
      isNumber: true,
      cell: ({ row }) => problem(row.gaps),
    },
    lost,
    {
      id: "truncated",
      title: "Cut",
      help: "Datagrams that were longer than the buffer they were read into, so their end was cut off.",
      isNumber: true,
      cell: ({ row }) => problem(row.truncated),
    },
    {
      id: "icmp",
      title: "ICMP",
      help: "ICMP errors about datagrams to the peer, such as port unreachable.",
      isNumber: true,
      cell: ({ row }) => problem(row.icmp),
    },
  ];
}

/** What the table is sorted by, for each column. */
export const sortKeys: Readonly<Record<string, (peer: Peer, nowMs: number) => number | string>> = {
  state: ({ row }, nowMs) => ["idle", "live", "silent"].indexOf(activityOf(row, nowMs)),
  peer: ({ row }) => row.address,
  rate: ({ rates }, nowMs) => rates.perSecond(nowMs),
  datagrams: ({ row }) => row.datagrams,
  bytes: ({ row }) => row.bytes,
  sizes: ({ row }) => row.maxSize,
  last: ({ row }) => row.lastMs,
  gaps: ({ row }) => row.gaps,
  lost: ({ row }) => row.lostBefore,
  truncated: ({ row }) => row.truncated,
  icmp: ({ row }) => row.icmp,
};

interface OfSourceProps {
  readonly source: Source | undefined;
  readonly sources: readonly Source[];
}

/** The source of a peer. The badge is enough for the only simulated one, and both would be cut. */
function OfSource({ source, sources }: OfSourceProps): VNode {
  const isOnlySimulated = source?.simulated === true && sources.filter((each) => each.simulated).length === 1;
  return (
    <span class="of-source" title={source?.label}>
      {source?.simulated === true && <span class="tag">simulated</span>}
      {!isOnlySimulated && source?.label}
    </span>
  );
}

function StateMark({ activity }: { readonly activity: Activity }): VNode {
  const [mark, word] = activities[activity];
  return (
    <span class={`state state-${activity}`}>
      <span aria-hidden="true">{mark}</span> {word}
    </span>
  );
}

function problem(value: number, prefix = ""): VNode {
  return value === 0 ? <span class="none">0</span> : <strong class="problem">{prefix + count(value)}</strong>;
}

function Sizes({
  min,
  max,
  large,
}: {
  readonly min: number;
  readonly max: number;
  readonly large: number;
}): VNode {
  const at = (size: number): string => `${(Math.min(size, sizeScale) / sizeScale) * 100}%`;
  const width = `${(Math.max(0, Math.min(max, sizeScale) - Math.min(min, sizeScale)) / sizeScale) * 100}%`;
  return (
    <span class="sizes" title={large > 0 ? `${count(large)} datagrams above 1,400 bytes` : undefined}>
      <span class="size-bar" aria-hidden="true">
        <span class={`size-range${max > sizeLine ? " over" : ""}`} style={{ left: at(min), width }} />
        <span class="size-line" style={{ left: at(sizeLine) }} />
      </span>
      <span class="size-text">{min === max ? count(max) : `${count(min)}–${count(max)}`}</span>
      {large > 0 && (
        <strong class="problem" aria-label={`${count(large)} above 1,400 bytes`}>
          ▲
        </strong>
      )}
    </span>
  );
}
