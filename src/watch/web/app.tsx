import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { DatagramsPane } from "./panes/datagrams-pane.js";
import { PeersPane } from "./panes/peers-pane.js";
import { RecordingsPane } from "./panes/recordings-pane.js";
import { type Draft, SendPane, emptyDraft } from "./panes/send-pane.js";
import { Header } from "./parts/header.js";
import { HelpDialog } from "./parts/help-dialog.js";
import { useTopics } from "./parts/hooks.js";
import { PlaybackBar, movePlayback } from "./parts/playback-bar.js";
import { Tabs } from "./parts/tabs.js";
import { chooseTheme, chosenTheme, nextTheme } from "./parts/theme.js";
import type { Client } from "./state/client.js";
import "./app.css";

const panes = ["peers", "datagrams", "send", "recordings"] as const;
type Pane = (typeof panes)[number];

const titles: Readonly<Record<Pane, string>> = {
  peers: "Peers",
  datagrams: "Datagrams",
  send: "Send",
  recordings: "Recordings",
};

/** The page. */
export function App({ client }: { readonly client: Client }): VNode {
  const { state } = client;
  useTopics(state, "connection", "hello");
  const [pane, setPane] = useState<Pane>("peers");
  const [source, setSource] = useState<number | undefined>(undefined);
  const [peer, setPeer] = useState<number | undefined>(undefined);
  const [isPaused, setPaused] = useState(false);
  const [draft, setDraft] = useState(emptyDraft);
  /** The number of a datagram to open in the list. */
  const [toOpen, setToOpen] = useState<number | undefined>(undefined);
  const [hasHelp, setHelp] = useState(false);
  const connections = useRef(0);
  if (state.connections !== connections.current) {
    connections.current = state.connections;
    // The numbers of peers are those of one connection.
    if (peer !== undefined) setPeer(undefined);
  }
  if (source !== undefined && state.sources.every(({ id }) => id !== source)) setSource(undefined);

  // Before the server has said what it watches, nothing is known to be without a way to send.
  const cannotSend =
    state.sources.length > 0 && state.sources.every(({ sends }) => !sends)
      ? "Nothing can be sent from here: what is watched is not a socket."
      : undefined;
  const showSend = (): void => {
    if (cannotSend === undefined) setPane("send");
  };
  const answer = (address: string, from: number): void => {
    setDraft((before: Draft) => ({ ...before, to: address, source: from }));
    setPane("send");
  };
  const answerPeer = (id: number | undefined): void => {
    const row = id === undefined ? undefined : state.peers.get(id)?.row;
    if (row !== undefined && cannotSend === undefined) answer(row.address, row.source);
    else showSend();
  };
  const focus = (id: string): void => {
    const shown = document.getElementById(id);
    // At once if it is there, so that what is typed next is not lost.
    if (shown) shown.focus();
    else requestAnimationFrame(() => requestAnimationFrame(() => document.getElementById(id)?.focus()));
  };
  const nextSource = (): void => {
    const ids = [undefined, ...state.sources.map(({ id }) => id)];
    setSource(ids[(ids.indexOf(source) + 1) % ids.length]);
  };
  const actions: Readonly<Record<string, () => void>> = {
    "1": () => setPane("peers"),
    "2": () => setPane("datagrams"),
    "3": showSend,
    "4": () => setPane("recordings"),
    s: nextSource,
    "/": () => {
      setPane("datagrams");
      focus("filter-text");
    },
    p: () => {
      if (state.playback !== undefined && pane !== "datagrams") movePlayback(client, "pause");
      else setPaused(!isPaused);
    },
    "[": () => movePlayback(client, -5),
    "]": () => movePlayback(client, 5),
    a: () => answerPeer(peer),
    r: () => client.record(state.recording?.running === undefined),
    t: () => chooseTheme(nextTheme(chosenTheme())),
    "?": () => setHelp(true),
    Escape: () => setPeer(undefined),
  };
  const onKey = useRef(actions);
  onKey.current = actions;
  useEffect(() => {
    const listener = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (document.querySelector("dialog[open]") !== null) return;
      if (isTyping(event.target)) {
        // The way out of a field: the next key is a shortcut again.
        if (event.key === "Escape") event.target.blur();
        return;
      }
      const action = Object.hasOwn(onKey.current, event.key) ? onKey.current[event.key] : undefined;
      if (action === undefined) return;
      event.preventDefault();
      action();
    };
    document.addEventListener("keydown", listener);
    return () => document.removeEventListener("keydown", listener);
  }, []);

  return (
    <>
      <Header client={client} source={source} onSource={setSource} onHelp={() => setHelp(true)} />
      <nav class="nav" aria-label="Panes">
        <Tabs
          id="pane"
          label="Panes"
          tabs={panes}
          titleOf={(each) => titles[each]}
          whyNot={(each) => (each === "send" ? cannotSend : undefined)}
          selected={pane}
          onSelect={setPane}
        />
      </nav>
      <main class="main">
        <div id="pane-panel" role="tabpanel" aria-labelledby={`pane-tab-${pane}`} class="pane">
          <PlaybackBar client={client} />
          {state.refusal !== undefined && (
            <p class="card refusal" role="alert">
              ▲ {state.refusal}
              <button type="button" class="quiet at-end" onClick={() => state.dismissRefusal()}>
                Dismiss
              </button>
            </p>
          )}
          {pane === "peers" && (
            <PeersPane
              client={client}
              source={source}
              selected={peer}
              onSelect={setPeer}
              onDatagrams={(id) => {
                setPeer(id);
                setPane("datagrams");
              }}
              onAnswer={answerPeer}
            />
          )}
          {pane === "datagrams" && (
            <DatagramsPane
              client={client}
              source={source}
              peer={peer}
              onPeer={setPeer}
              isPaused={isPaused}
              onPause={setPaused}
              onAnswer={answer}
              toOpen={toOpen}
              onOpened={() => setToOpen(undefined)}
            />
          )}
          {pane === "send" && (
            <SendPane
              client={client}
              draft={draft}
              onDraft={setDraft}
              onDatagram={(id) => {
                setPeer(undefined);
                setToOpen(id);
                setPane("datagrams");
              }}
            />
          )}
          {pane === "recordings" && <RecordingsPane client={client} />}
        </div>
      </main>
      {hasHelp && <HelpDialog onClose={() => setHelp(false)} />}
    </>
  );
}

/** Whether keys are text for an element. */
function isTyping(
  target: EventTarget | null,
): target is HTMLTextAreaElement | HTMLSelectElement | HTMLInputElement {
  return (
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement ||
    (target instanceof HTMLInputElement && !["radio", "checkbox", "range", "button"].includes(target.type))
  );
}
