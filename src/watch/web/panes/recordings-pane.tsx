/** Recordings: starts and ends them, downloads them, and replays them or a file of the user. */

import type { VNode } from "preact";
import { useRef, useState } from "preact/hooks";

import { type RecordingRow, type ReplayState, limits } from "../../protocol.js";
import { bytes, count, datagrams, timeOfDay } from "../parts/format.js";
import { useSeconds, useTopics } from "../parts/hooks.js";
import { type Client, recordingAddress } from "../state/client.js";
import "../parts/filter.css";
import "./recordings-pane.css";

export function RecordingsPane({ client }: { readonly client: Client }): VNode {
  const { state } = client;
  useTopics(state, "recording", "hello", "connection");
  useSeconds();
  const [uploaded, setUploaded] = useState<readonly RecordingRow[]>([]);
  const [message, setMessage] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const running = state.recording?.running;
  const known = state.recording?.files ?? [];
  // The server may name an uploaded file in its list too.
  const files = [...known, ...uploaded.filter(({ id }) => !known.some((each) => each.id === id))];
  const isFile = state.playback !== undefined;
  const upload = async (file: File): Promise<void> => {
    if (file.size > limits.uploadBytes) {
      setMessage(`${file.name} is larger than ${bytes(limits.uploadBytes)}.`);
      return;
    }
    setMessage(`${file.name} is on its way.`);
    try {
      const row = await client.upload(file);
      setUploaded((before) => [...before, row]);
      setMessage(`${row.name} can be replayed.`);
    } catch (error) {
      setMessage(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <div class="recordings-pane">
      <section class="card" aria-label="Record">
        <h2 class="card-title">Record</h2>
        <div class="card-line">
          <button
            type="button"
            class={running === undefined ? "primary" : "primary recording"}
            disabled={isFile}
            onClick={() => client.record(running === undefined)}
          >
            {running === undefined ? "● Start a recording" : "■ End the recording"} <kbd>r</kbd>
          </button>
          {running !== undefined && (
            <span role="status">
              {running.name}, since {timeOfDay(running.startedMs)}: {datagrams(running.datagrams)},{" "}
              {bytes(running.bytes)}
              {running.missed > 0 && (
                <strong class="problem"> ▲ {count(running.missed)} could not be written</strong>
              )}
            </span>
          )}
        </div>
        <p class="muted">
          {isFile
            ? "A file is watched, so there is nothing to record."
            : "The file holds each datagram as it was received or sent, in the format pcapng, which Wireshark and tcpdump read."}
        </p>
      </section>
      <section class="card" aria-label="Files">
        <h2 class="card-title">Files</h2>
        {files.length === 0 && <p class="muted">There is no recording yet.</p>}
        <ul class="files">
          {files.map((file) => (
            <Recording key={file.id} client={client} file={file} />
          ))}
        </ul>
        <div class="card-line">
          <button type="button" onClick={() => input.current?.click()}>
            Open a capture file
          </button>
          <input
            ref={input}
            type="file"
            class="off-screen"
            tabIndex={-1}
            aria-label="A capture file to replay"
            accept=".pcap,.pcapng,.cap"
            onChange={({ currentTarget }) => {
              const file = currentTarget.files?.[0];
              currentTarget.value = "";
              if (file !== undefined) void upload(file);
            }}
          />
          <span role="status" class="muted">
            {message}
          </span>
        </div>
      </section>
    </div>
  );
}

function Recording({ client, file }: { readonly client: Client; readonly file: RecordingRow }): VNode {
  const { state } = client;
  const [isOpen, setOpen] = useState(false);
  const replaying = state.replaying?.file === file.id ? state.replaying : undefined;
  const sends = state.sources.some((source) => source.sends);
  return (
    <li class="file">
      <div class="card-line">
        <strong>{file.name}</strong>
        <span class="muted">
          {datagrams(file.datagrams)}, {bytes(file.bytes)}
          {file.startedMs > 0 && `, ${new Date(file.startedMs).toLocaleString()}`}
        </span>
        {file.missed > 0 && <strong class="problem">▲ {count(file.missed)} could not be written</strong>}
        <span class="buttons at-end">
          {!file.uploaded && (
            <a class="button" href={recordingAddress(file.id)} download={file.name}>
              Download
            </a>
          )}
          {sends && (
            <button type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
              Replay
            </button>
          )}
        </span>
      </div>
      {isOpen && <ReplayForm client={client} file={file} />}
      {replaying !== undefined && <Progress client={client} replaying={replaying} />}
    </li>
  );
}

function ReplayForm({ client, file }: { readonly client: Client; readonly file: RecordingRow }): VNode {
  const sources = client.state.sources.filter((source) => source.sends);
  const [to, setTo] = useState("");
  const [source, setSource] = useState(sources[0]?.id ?? 0);
  const [speed, setSpeed] = useState("1");
  return (
    <form
      class="filter"
      aria-label={`Replay ${file.name}`}
      onSubmit={(event) => {
        event.preventDefault();
        client.replay(file.id, source, to, Number(speed));
      }}
    >
      {sources.length > 1 && (
        <label>
          <span class="label">From</span>
          <select
            value={String(source)}
            onChange={({ currentTarget }) => setSource(Number(currentTarget.value))}
          >
            {sources.map(({ id, label }) => (
              <option key={id} value={String(id)}>
                {label}
              </option>
            ))}
          </select>
        </label>
      )}
      <label class="grows">
        <span class="label">To</span>
        <input
          type="text"
          required
          autocomplete="off"
          spellcheck={false}
          placeholder="10.0.0.7:5000"
          value={to}
          onInput={({ currentTarget }) => setTo(currentTarget.value)}
        />
      </label>
      <label>
        <span class="label">Speed</span>
        <select value={speed} onChange={({ currentTarget }) => setSpeed(currentTarget.value)}>
          {["0.25", "0.5", "1", "2", "4", "16"].map((each) => (
            <option key={each} value={each}>
              ×{each}
            </option>
          ))}
        </select>
      </label>
      <button type="submit" class="primary">
        Send it
      </button>
    </form>
  );
}

function Progress({
  client,
  replaying,
}: {
  readonly client: Client;
  readonly replaying: ReplayState;
}): VNode {
  const { sent, total, ended, error, to } = replaying;
  return (
    <div class="card-line">
      {!ended && (
        <progress
          aria-label="Replay"
          {...(total === undefined ? {} : { value: sent, max: Math.max(1, total) })}
        />
      )}
      <span role="status">
        {count(sent)}
        {total !== undefined && ` of ${count(total)}`} datagrams sent to {to}
        {ended && error === undefined && ": done"}
        {error !== undefined && <strong class="problem"> ▲ {error}</strong>}
      </span>
      {!ended && (
        <button type="button" class="at-end" onClick={() => client.stopReplay()}>
          Stop
        </button>
      )}
    </div>
  );
}
