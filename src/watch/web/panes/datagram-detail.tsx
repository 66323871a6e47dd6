import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { CopyButton } from "../parts/copy-button.js";
import { count, isoTime } from "../parts/format.js";
import { narrow, useMedia, useTopics } from "../parts/hooks.js";
import { Jpeg } from "../parts/jpeg.js";
import { asHex, asJson, asText, hexDigits, jpegIn } from "../parts/payload-text.js";
import { Tabs } from "../parts/tabs.js";
import type { Client } from "../state/client.js";
import type { ListedDatagram } from "../state/state.js";
import "../parts/facts.css";
import "./datagram-detail.css";

interface DatagramDetailProps {
  readonly client: Client;
  readonly datagram: ListedDatagram;
  readonly onClose: () => void;
  readonly onPeer: (peer: number) => void;
  readonly onAnswer: (address: string, source: number) => void;
}

type View = "Text" | "Hex" | "JSON" | "Image";

/** A datagram: how it came, and its payload in several views. */
export function DatagramDetail({ client, datagram, onClose, onPeer, onAnswer }: DatagramDetailProps): VNode {
  const { state } = client;
  useTopics(state, "details", "connection");
  useEffect(() => client.detail(datagram), []);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: false }), []);
  const { row } = datagram;
  const payload = state.payloadOf(datagram);
  const other = row.direction === "in" ? row.from : row.to;
  const sends = state.sources.find(({ id }) => id === row.source)?.sends === true;
  const isCurrent = datagram.connection === state.connections;
  return (
    <section
      class="card detail"
      aria-labelledby="detail-title"
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        onClose();
      }}
    >
      <div class="card-line">
        <h2 class="card-title" id="detail-title" tabIndex={-1} ref={heading}>
          {row.direction === "in" ? "Received" : "Sent"}, {count(row.size)} bytes
        </h2>
        <button type="button" class="quiet at-end" aria-label="Close the datagram" onClick={onClose}>
          ×
        </button>
      </div>
      <dl class="facts">
        <div>
          <dt>Time</dt>
          <dd>{isoTime(row.timestamp)}</dd>
        </div>
        <div>
          <dt>From</dt>
          <dd>{row.from}</dd>
        </div>
        <div>
          <dt>To</dt>
          <dd>{row.to}</dd>
        </div>
        {row.truncated && (
          <div>
            <dt>Cut</dt>
            <dd class="problem">the end of it was cut off</dd>
          </div>
        )}
        {row.lostBefore > 0 && (
          <div>
            <dt>Lost before</dt>
            <dd class="problem">at least {count(row.lostBefore)}</dd>
          </div>
        )}
      </dl>
      <div class="buttons">
        {isCurrent && (
          <button type="button" onClick={() => onPeer(row.peer)}>
            Only this peer
          </button>
        )}
        {isCurrent && sends && (
          <button type="button" onClick={() => onAnswer(other, row.source)}>
            Answer
          </button>
        )}
      </div>
      {payload === undefined && <p class="muted">The payload is on its way.</p>}
      {payload === "gone" && <p class="muted">The server no longer has the payload of this datagram.</p>}
      {payload instanceof Uint8Array && (
        <PayloadView payload={payload} looks={row.looks} name={`datagram-${row.id}.bin`} />
      )}
    </section>
  );
}

interface PayloadViewProps {
  readonly payload: Uint8Array<ArrayBuffer>;
  readonly looks: string;
  readonly name: string;
}

function PayloadView({ payload, looks, name }: PayloadViewProps): VNode {
  const isNarrow = useMedia(narrow);
  const json = asJson(payload);
  const jpeg = jpegIn(payload);
  const views: View[] = ["Text", "Hex"];
  if (json !== undefined) views.push("JSON");
  if (jpeg !== undefined) views.push("Image");
  const best = jpeg !== undefined ? "Image" : json !== undefined ? "JSON" : looks === "text" ? "Text" : "Hex";
  const [chosen, setChosen] = useState<View>(best);
  const view = views.includes(chosen) ? chosen : "Hex";
  const text =
    view === "Hex"
      ? asHex(payload, isNarrow ? 8 : 16)
      : view === "JSON"
        ? (json ?? "")
        : view === "Text"
          ? asText(payload)
          : "";
  return (
    <>
      <div class="card-line">
        <Tabs id="payload" label="Views of the payload" tabs={views} selected={view} onSelect={setChosen} />
        <span class="buttons at-end">
          <CopyButton
            text={view === "Text" || view === "JSON" ? text : hexDigits(payload)}
            label="the payload"
          />
          <button type="button" class="small" onClick={() => save(payload, name)}>
            Save
          </button>
        </span>
      </div>
      <div class="payload" role="tabpanel" id="payload-panel" aria-labelledby={`payload-tab-${view}`}>
        {view === "Image" && jpeg !== undefined ? (
          <Jpeg bytes={new Uint8Array(jpeg)} label="The payload as a picture" />
        ) : payload.length === 0 ? (
          <p class="muted">The payload is empty.</p>
        ) : (
          <pre tabIndex={0} class={view === "Hex" ? "hex" : "wraps"}>
            {text}
          </pre>
        )}
      </div>
    </>
  );
}

/** Downloads bytes as a file. */
function save(bytes: Uint8Array<ArrayBuffer>, name: string): void {
  const address = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The browser has read it by then.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
