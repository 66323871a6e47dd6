import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { limits } from "../../protocol.js";
import { useTopics } from "../parts/hooks.js";
import { Jpeg } from "../parts/jpeg.js";
import type { Client } from "../state/client.js";
import type { Peer } from "../state/peer.js";
import "./pictures.css";

interface PicturesProps {
  readonly client: Client;
  readonly source: number | undefined;
}

/** How a peer sends its pictures. */
const ways = {
  datagram: "one datagram each",
  slices: "in slices",
  message: "as messages",
  rtp: "RTP",
} as const;

/** The moving pictures of the peers that send JPEG. The server sends only those that can be seen. */
export function Pictures({ client, source }: PicturesProps): VNode | null {
  const { state } = client;
  useTopics(state, "peers");
  const visible = useRef(new Set<number>());
  const subscribe = (): void =>
    client.pictures([...visible.current].sort((a, b) => a - b).slice(0, limits.pictures));
  useEffect(() => () => client.pictures([]), []);
  const peers = [...state.peers.values()]
    .filter(({ row }) => row.picture !== undefined && (source === undefined || row.source === source))
    .slice(0, limits.pictures);
  if (peers.length === 0) return null;
  return (
    <section class="card" aria-label="Pictures">
      <h2 class="card-title">Pictures</h2>
      <div class={`pictures pictures-${Math.min(peers.length, 3)}`}>
        {peers.map((peer) => (
          <Tile
            key={peer.row.id}
            client={client}
            peer={peer}
            onVisible={(isVisible) => {
              if (isVisible) visible.current.add(peer.row.id);
              else visible.current.delete(peer.row.id);
              subscribe();
            }}
          />
        ))}
      </div>
    </section>
  );
}

interface TileProps {
  readonly client: Client;
  readonly peer: Peer;
  readonly onVisible: (isVisible: boolean) => void;
}

function Tile({ client, peer, onVisible }: TileProps): VNode {
  const { state } = client;
  useTopics(state, "pictures");
  const figure = useRef<HTMLElement>(null);
  const [size, setSize] = useState("");
  useEffect(() => {
    if (figure.current === null) return;
    const observer = new IntersectionObserver((entries) => {
      const last = entries.at(-1);
      if (last !== undefined) onVisible(last.isIntersecting);
    });
    observer.observe(figure.current);
    return () => {
      observer.disconnect();
      onVisible(false);
    };
  }, []);
  const { row } = peer;
  const picture = state.pictures.get(row.id);
  const isSimulated = state.sources.find(({ id }) => id === row.source)?.simulated === true;
  return (
    <figure ref={figure} class={`tile${row.silent ? " tile-silent" : ""}`}>
      {picture === undefined ? (
        <div class="jpeg jpeg-waits">waits for a whole picture</div>
      ) : (
        <Jpeg
          bytes={picture.bytes}
          label={`The last picture of ${row.address}`}
          onSize={(width, height) => setSize(`${width}×${height}, `)}
        />
      )}
      {row.silent && <span class="tile-badge">■ silent</span>}
      {isSimulated && <span class="tile-badge tile-simulated">simulated</span>}
      <figcaption>
        <span class="address">{row.address}</span>
        <span class="muted">
          {size}
          {row.picture === undefined ? "" : ways[row.picture]}
        </span>
      </figcaption>
    </figure>
  );
}
