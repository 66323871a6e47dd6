/** Sends a datagram to one or more addresses, and shows what came back. */

import type { VNode } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { type Send, type Source, limits } from "../../protocol.js";
import { bytes, count, isoDate, milliseconds, timeOfDay } from "../parts/format.js";
import { useTopics } from "../parts/hooks.js";
import { asBase64 } from "../parts/payload-text.js";
import type { Client } from "../state/client.js";
import type { SentRequest, SentTo } from "../state/sent-requests.js";
import "./send-pane.css";

/** What the user has typed. It stays while another pane is shown. */
export interface Draft {
  readonly kind: "text" | "hex" | "file";
  readonly text: string;
  readonly hex: string;
  readonly file: { readonly name: string; readonly bytes: Uint8Array<ArrayBuffer> } | undefined;
  readonly to: string;
  readonly source: number | undefined;
  readonly awaitMs: number;
}

export const emptyDraft: Draft = {
  kind: "text",
  text: "",
  hex: "",
  file: undefined,
  to: "",
  source: undefined,
  awaitMs: 1000,
};

interface SendPaneProps {
  readonly client: Client;
  readonly draft: Draft;
  readonly onDraft: (draft: Draft) => void;
  readonly onDatagram: (id: number) => void;
}

/** The largest payload of a datagram over IPv6. */
const maxPayloadBytes = 65_527;

export function SendPane({ client, draft, onDraft, onDatagram }: SendPaneProps): VNode {
  const { state } = client;
  useTopics(state, "sends", "hello", "connection");
  const [problem, setProblem] = useState("");
  const text = useRef<HTMLTextAreaElement>(null);
  /** What is typed while a file is read must not be lost. */
  const latest = useRef(draft);
  latest.current = draft;
  // Not after a frame: what is typed next would be shortcuts.
  useLayoutEffect(() => text.current?.focus(), []);
  const sources = state.sources.filter(({ sends }) => sends);
  const source = sources.find(({ id }) => id === draft.source) ?? sources[0];
  if (source === undefined)
    return (
      <section class="card">
        <h2 class="card-title">Send</h2>
        <p class="muted">Nothing can be sent from here: what is watched is not a socket.</p>
      </section>
    );
  const send = (): void => {
    const checked = checkDraft(draft);
    if (typeof checked === "string") {
      setProblem(checked);
      return;
    }
    const isSent = client.send(
      { source: source.id, to: checked.to, payload: checked.payload, awaitMs: draft.awaitMs },
      checked.summary,
    );
    setProblem(isSent ? "" : "Not sent: there is no connection to the server.");
  };
  return (
    <div class="send-pane">
      <form
        class="card send-form"
        aria-label="Send a datagram"
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
          event.preventDefault();
          send();
        }}
      >
        <h2 class="card-title">Send a datagram</h2>
        <Destination draft={draft} onDraft={onDraft} sources={sources} source={source} client={client} />
        <fieldset class="kinds">
          <legend class="label">Payload</legend>
          {(["text", "hex", "file"] as const).map((kind) => (
            <label key={kind} class="inline">
              <input
                type="radio"
                name="kind"
                checked={draft.kind === kind}
                onChange={() => onDraft({ ...draft, kind })}
              />
              {kind}
            </label>
          ))}
        </fieldset>
        {draft.kind === "file" ? (
          <label>
            <span class="label">File of at most {count(maxPayloadBytes)} bytes</span>
            <input
              type="file"
              onChange={({ currentTarget }) => {
                const file = currentTarget.files?.[0];
                if (file === undefined) return;
                if (file.size > maxPayloadBytes) {
                  setProblem(`${file.name} has ${count(file.size)} bytes: too many for a datagram.`);
                  return;
                }
                setProblem("");
                file.arrayBuffer().then(
                  (buffer) =>
                    onDraft({ ...latest.current, file: { name: file.name, bytes: new Uint8Array(buffer) } }),
                  () => setProblem(`${file.name} cannot be read.`),
                );
              }}
            />
            {draft.file !== undefined && (
              <span class="muted">
                {draft.file.name}, {bytes(draft.file.bytes.length)}
              </span>
            )}
          </label>
        ) : (
          <label>
            <span class="label">
              {draft.kind === "text" ? "UTF-8 text" : "Pairs of hex digits, such as 00 ff 0d0a"}
            </span>
            <textarea
              id="send-text"
              ref={text}
              rows={5}
              spellcheck={false}
              class={draft.kind === "hex" ? "mono" : ""}
              value={draft.kind === "text" ? draft.text : draft.hex}
              onInput={({ currentTarget: { value } }) =>
                onDraft(draft.kind === "text" ? { ...draft, text: value } : { ...draft, hex: value })
              }
            />
          </label>
        )}
        <div class="card-line">
          <label class="inline">
            Wait for a reply
            <select
              value={String(draft.awaitMs)}
              onChange={({ currentTarget }) => onDraft({ ...draft, awaitMs: Number(currentTarget.value) })}
            >
              <option value="0">no</option>
              <option value="1000">1 s</option>
              <option value="5000">5 s</option>
              <option value="30000">30 s</option>
            </select>
          </label>
          <button type="submit" class="primary at-end">
            Send <kbd>Ctrl Enter</kbd>
          </button>
        </div>
        <p class="problem" role="alert">
          {problem}
        </p>
      </form>
      <section class="card" aria-label="Sent">
        <h2 class="card-title">Sent</h2>
        {state.sent.requests.length === 0 && <p class="muted">Nothing was sent from this page yet.</p>}
        <ol class="sent-list" aria-live="polite">
          {state.sent.requests.map((request) => (
            <Sent key={request.request} request={request} onDatagram={onDatagram} />
          ))}
        </ol>
      </section>
    </div>
  );
}

interface DestinationProps {
  readonly client: Client;
  readonly draft: Draft;
  readonly onDraft: (draft: Draft) => void;
  readonly sources: readonly Source[];
  readonly source: Source;
}

function Destination({ client, draft, onDraft, sources, source }: DestinationProps): VNode {
  useTopics(client.state, "peers");
  const peers = [...client.state.peers.values()].filter(({ row }) => row.source === source.id).slice(0, 200);
  const chosen = addressesIn(draft.to);
  return (
    <>
      {sources.length > 1 && (
        <label>
          <span class="label">From</span>
          <select
            value={String(source.id)}
            onChange={({ currentTarget }) => onDraft({ ...draft, source: Number(currentTarget.value) })}
          >
            {sources.map(({ id, label, simulated }) => (
              <option key={id} value={String(id)}>
                {label}
                {simulated ? " (simulated)" : ""}
              </option>
            ))}
          </select>
        </label>
      )}
      <label>
        <span class="label">To: one or more addresses</span>
        <input
          id="send-to"
          type="text"
          autocomplete="off"
          spellcheck={false}
          placeholder="10.0.0.7:5000 [fe80::1%eth0]:5000"
          value={draft.to}
          onInput={({ currentTarget }) => onDraft({ ...draft, to: currentTarget.value })}
        />
      </label>
      {peers.length > 0 && (
        <div class="chips" role="group" aria-label="Peers to send to">
          {peers.slice(0, 12).map(({ row }) => {
            const isChosen = chosen.includes(row.address);
            const others = chosen.filter((address) => address !== row.address);
            return (
              <button
                key={row.id}
                type="button"
                class="chip"
                aria-pressed={isChosen}
                onClick={() =>
                  onDraft({ ...draft, to: (isChosen ? others : [...others, row.address]).join(" ") })
                }
              >
                {isChosen ? "✓ " : "+ "}
                {row.address}
              </button>
            );
          })}
          {peers.length > 1 && (
            <button
              type="button"
              class="chip"
              onClick={() =>
                onDraft({
                  ...draft,
                  to: peers
                    .slice(0, limits.sendAddresses)
                    .map(({ row }) => row.address)
                    .join(" "),
                })
              }
            >
              {peers.length > limits.sendAddresses
                ? `The first ${limits.sendAddresses}`
                : `All ${peers.length}`}
            </button>
          )}
        </div>
      )}
    </>
  );
}

function Sent({
  request,
  onDatagram,
}: {
  readonly request: SentRequest;
  readonly onDatagram: (id: number) => void;
}): VNode {
  return (
    <li class="sent">
      <p class="sent-head">
        <time dateTime={isoDate(request.atMs)}>{timeOfDay(request.atMs)}</time>
        <bdi class="mono">{request.summary}</bdi>
      </p>
      {request.refusal !== undefined && <p class="problem">▲ {request.refusal}</p>}
      <ul>
        {request.to.map((to, index) => (
          <li key={index}>
            <span class="address">{to.to}</span> <Outcome request={request} to={to} onDatagram={onDatagram} />
          </li>
        ))}
      </ul>
    </li>
  );
}

interface OutcomeProps {
  readonly request: SentRequest;
  readonly to: SentTo;
  readonly onDatagram: (id: number) => void;
}

function Outcome({ request, to, onDatagram }: OutcomeProps): VNode | null {
  const { bytes: size, error, reply } = to;
  if (request.refusal !== undefined) return null;
  if (error !== undefined) return <span class="problem">▲ {error}</span>;
  if (reply === "none")
    return <span class="muted">{count(size ?? 0)} bytes sent, no reply came in time</span>;
  if (reply !== undefined) {
    const { datagram } = reply;
    return (
      <>
        <span class="good">✓ reply after {milliseconds(reply.afterMs)}</span>{" "}
        {datagram !== undefined && (
          <button type="button" class="link" onClick={() => onDatagram(datagram)}>
            show it
          </button>
        )}
      </>
    );
  }
  if (request.disconnected) return <span class="problem">▲ the connection was lost before the answer</span>;
  if (size === undefined) return <span class="muted">on its way</span>;
  return (
    <span class={request.awaitsReply ? "muted" : "good"}>
      {count(size)} bytes sent{request.awaitsReply ? ", waits for a reply" : ""}
    </span>
  );
}

type Checked = Pick<Send, "to" | "payload"> & { readonly summary: string };

/** What to send, or a sentence that says what is wrong. The server checks it again. */
function checkDraft(draft: Draft): Checked | string {
  const to = addressesIn(draft.to);
  if (to.length === 0) return "Name an address to send to, such as 10.0.0.7:5000.";
  if (to.length > limits.sendAddresses) return `At most ${limits.sendAddresses} addresses are possible.`;
  const { kind, text, hex, file } = draft;
  if (kind === "text") return { to, payload: { text }, summary: text === "" ? "(empty)" : text.slice(0, 80) };
  if (kind === "hex") {
    const digits = hex.replace(/\s+/g, "");
    if (!/^([0-9a-f]{2})*$/i.test(digits)) return "The payload is not pairs of hex digits.";
    return { to, payload: { hex: digits }, summary: digits === "" ? "(empty)" : digits.slice(0, 80) };
  }
  if (file === undefined) return "Choose a file.";
  return { to, payload: { base64: asBase64(file.bytes) }, summary: file.name };
}

function addressesIn(text: string): readonly string[] {
  return [...new Set(text.split(/[\s,;]+/).filter((each) => each !== ""))];
}
