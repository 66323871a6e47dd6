import type { VNode } from "preact";

import type { LossReport } from "../../protocol.js";
import { CopyButton } from "../parts/copy-button.js";
import { isoDate, timeOfDay } from "../parts/format.js";
import { useTopics } from "../parts/hooks.js";
import type { State } from "../state/state.js";
import "./losses.css";

interface LossesProps {
  readonly state: State;
  readonly source: number | undefined;
  readonly onSelect: (peer: number | undefined) => void;
}

/** The most reports that are shown. */
const maxShown = 50;

const causes: Readonly<Record<LossReport["cause"], string>> = {
  receiveBuffer: "Receive buffer",
  queue: "Queue",
  truncated: "Cut",
  unreachable: "Unreachable",
  pathMtu: "Path MTU",
  silent: "Silent",
  message: "Picture",
  network: "Network",
  host: "This machine",
  recording: "Recording",
  relay: "The relay, as told",
  warning: "Warning",
};

/** A sentence for each loss, the newest first. */
export function Losses({ state, source, onSelect }: LossesProps): VNode {
  useTopics(state, "losses", "hello");
  const losses = [...state.losses.values()]
    .filter((loss) => source === undefined || loss.source === undefined || loss.source === source)
    .reverse();
  return (
    <section class="card losses" aria-label="Losses">
      <h2 class="card-title">
        Losses <span class="muted">{losses.length === 0 ? "none" : losses.length}</span>
      </h2>
      {losses.length === 0 && (
        <p class="muted">
          No loss is known. Datagrams that the network drops before this machine leave no trace here, unless
          their sender numbers them.
        </p>
      )}
      <ol class="loss-list">
        {losses.slice(0, maxShown).map((loss) => (
          <Loss key={loss.id} loss={loss} state={state} onSelect={onSelect} />
        ))}
      </ol>
      {losses.length > maxShown && (
        <p class="muted">{losses.length - maxShown} earlier ones are not shown.</p>
      )}
    </section>
  );
}

interface LossProps {
  readonly loss: LossReport;
  readonly state: State;
  readonly onSelect: (peer: number) => void;
}

function Loss({ loss, state, onSelect }: LossProps): VNode {
  const peer = loss.peer === undefined ? undefined : state.peers.get(loss.peer);
  return (
    <li class={`loss loss-${loss.cause}`}>
      <p class="loss-head">
        <span class="loss-cause">▲ {causes[loss.cause]}</span>
        <time dateTime={isoDate(loss.atMs)}>{timeOfDay(loss.atMs)}</time>
        {peer !== undefined && (
          <button type="button" class="link" onClick={() => onSelect(peer.row.id)}>
            {peer.row.address}
          </button>
        )}
      </p>
      <p>{loss.sentence}</p>
      {loss.advice !== undefined && <Advice text={loss.advice} />}
    </li>
  );
}

/** A sentence with a command between backticks, which can be copied. */
function Advice({ text }: { readonly text: string }): VNode {
  const parts = text.split("`");
  const commands = parts.filter((_, index) => index % 2 === 1);
  return (
    <p class="advice">
      {parts.map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}
      {commands.map((command) => (
        <CopyButton key={command} text={command} label={command} />
      ))}
    </p>
  );
}
