import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";

import type { Source } from "../../protocol.js";
import type { Client } from "../state/client.js";
import type { State } from "../state/state.js";
import { useSeconds, useTopics } from "./hooks.js";
import { type Theme, chooseTheme, chosenTheme, nextTheme, onTheme } from "./theme.js";
import "./header.css";

interface HeaderProps {
  readonly client: Client;
  readonly source: number | undefined;
  readonly onSource: (source: number | undefined) => void;
  readonly onHelp: () => void;
}

export function Header({ client, source, onSource, onHelp }: HeaderProps): VNode {
  const { state } = client;
  useTopics(state, "hello", "recording");
  const running = state.recording?.running;
  return (
    <header class="header">
      <h1 class="brand">
        <span class="brand-mark" aria-hidden="true" />
        datagram <span class="muted">watch</span>
      </h1>
      <Connection state={state} />
      <Sources sources={state.sources} source={source} onSource={onSource} />
      <div class="buttons at-end">
        <button
          type="button"
          class={running === undefined ? "quiet" : "quiet recording"}
          aria-pressed={running !== undefined}
          onClick={() => client.record(running === undefined)}
        >
          {running === undefined ? "● Record" : "■ Recording"}
        </button>
        <ThemeButton />
        <button type="button" class="quiet" aria-label="Keys and help" onClick={onHelp}>
          ?
        </button>
      </div>
    </header>
  );
}

function Connection({ state }: { readonly state: State }): VNode {
  useTopics(state, "connection");
  useSeconds();
  const { connection } = state;
  const inMs = connection.state === "waiting" ? connection.retryAtMs - Date.now() : 0;
  const texts = {
    open: "● connected",
    connecting: "○ connecting",
    waiting: `▲ not connected: tries again ${inMs > 1000 ? `in ${Math.ceil(inMs / 1000)} s` : "now"}`,
  };
  return (
    <span class={`connection connection-${connection.state}`} role="status">
      {texts[connection.state]}
    </span>
  );
}

interface SourcesProps {
  readonly sources: readonly Source[];
  readonly source: number | undefined;
  readonly onSource: (source: number | undefined) => void;
}

const sides = { socket: "", before: "before: ", after: "after: ", recording: "file: " } as const;

/** The sources, to show all of them or one. */
function Sources({ sources, source, onSource }: SourcesProps): VNode {
  const titled = sources.map(({ id, kind, label, simulated }) => (
    <SourceTitle key={id} text={sides[kind] + label} isSimulated={simulated} />
  ));
  if (sources.length < 2) return <span class="sources">{titled}</span>;
  return (
    <div class="sources" role="group" aria-label="Sources">
      <button
        type="button"
        class="chip"
        aria-pressed={source === undefined}
        onClick={() => onSource(undefined)}
      >
        all
      </button>
      {sources.map(({ id }, index) => (
        <button key={id} type="button" class="chip" aria-pressed={source === id} onClick={() => onSource(id)}>
          {titled[index]}
        </button>
      ))}
    </div>
  );
}

function SourceTitle({ text, isSimulated }: { readonly text: string; readonly isSimulated: boolean }): VNode {
  return (
    <span class="source-title">
      <span class="address">{text}</span>
      {isSimulated && <span class="tag">simulated</span>}
    </span>
  );
}

const themeTitles: Readonly<Record<Theme, readonly [mark: string, word: string]>> = {
  system: ["◐", "Auto"],
  light: ["○", "Light"],
  dark: ["●", "Dark"],
};

function ThemeButton(): VNode {
  const [theme, setTheme] = useState(chosenTheme);
  useEffect(() => onTheme(() => setTheme(chosenTheme())), []);
  const [mark, word] = themeTitles[theme];
  return (
    <button
      type="button"
      class="quiet theme"
      aria-label={`${word} colors: change to ${themeTitles[nextTheme(theme)][1]}`}
      onClick={() => chooseTheme(nextTheme(theme))}
    >
      <span aria-hidden="true">{mark}</span> {word}
    </button>
  );
}
