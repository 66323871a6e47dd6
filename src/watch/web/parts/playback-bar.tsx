import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";

import type { Playback } from "../../protocol.js";
import type { Client } from "../state/client.js";
import { count, timeOfDay } from "./format.js";
import { useTopics } from "./hooks.js";
import { color, onTheme } from "./theme.js";
import "./playback-bar.css";

const speeds = [0.25, 0.5, 1, 2, 4, 16, 64];
const height = 40;

/** The time in the file that is watched: datagrams over its whole length, the position, and the speed. */
export function PlaybackBar({ client }: { readonly client: Client }): VNode | null {
  const { state } = client;
  useTopics(state, "playback");
  const { playback } = state;
  /** The speed to go on with after a pause. */
  const speedBefore = useRef(1);
  if (playback === undefined) return null;
  const { firstMs, lastMs, positionMs, speed } = playback;
  if (speed > 0) speedBefore.current = speed;
  const lengthMs = Math.max(1, lastMs - firstMs);
  return (
    <section class="card playback" aria-label="Time in the file">
      <button
        type="button"
        class="primary"
        id="playback-pause"
        onClick={() => client.seek(positionMs, speed === 0 ? speedBefore.current : 0)}
      >
        {speed === 0 ? "▶ Play" : "❚❚ Pause"}
      </button>
      <div class="seek">
        <Overview playback={playback} />
        <input
          type="range"
          aria-label="Position"
          aria-valuetext={`${timeOfDay(positionMs)}, ${seconds(positionMs - firstMs)} of ${seconds(lengthMs)}`}
          min={0}
          max={lengthMs}
          step={Math.max(1, Math.round(lengthMs / 1000))}
          value={positionMs - firstMs}
          onInput={({ currentTarget }) => client.seek(firstMs + Number(currentTarget.value), speed)}
        />
      </div>
      <span class="figure">
        {timeOfDay(positionMs)}{" "}
        <span class="muted">{`${seconds(positionMs - firstMs)} of ${seconds(lengthMs)}`}</span>
      </span>
      <label class="inline">
        Speed
        <select
          value={String(speed === 0 ? speedBefore.current : speed)}
          onChange={({ currentTarget }) => client.seek(positionMs, Number(currentTarget.value))}
        >
          {speeds.map((each) => (
            <option key={each} value={String(each)}>
              ×{each}
            </option>
          ))}
        </select>
      </label>
    </section>
  );
}

/** Moves by some seconds, or stops and goes on. For the keys of the page. */
export function movePlayback(client: Client, by: number | "pause"): void {
  const { playback } = client.state;
  if (playback === undefined) return;
  const { firstMs, lastMs, positionMs, speed } = playback;
  if (by === "pause") {
    client.seek(positionMs, speed === 0 ? 1 : 0);
    return;
  }
  client.seek(Math.min(lastMs, Math.max(firstMs, positionMs + by * 1000)), speed);
}

function Overview({ playback }: { readonly playback: Playback }): VNode {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { overview = [] } = playback;
  const draw = (): void => {
    const element = canvas.current;
    const context = element?.getContext("2d") ?? null;
    if (element === null || context === null) return;
    element.width = Math.max(1, overview.length);
    element.height = height;
    const max = Math.max(1, ...overview);
    context.fillStyle = color("--accent");
    overview.forEach((value, index) => {
      const bar = value === 0 ? 0 : Math.max(2, (value / max) * height);
      context.fillRect(index, height - bar, 1, bar);
    });
  };
  useEffect(() => {
    draw();
    return onTheme(draw);
  }, [playback.overview]);
  return <canvas ref={canvas} aria-hidden="true" />;
}

function seconds(milliseconds: number): string {
  return `${count(Math.round(milliseconds / 1000))} s`;
}
