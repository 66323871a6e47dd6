import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";

import type { Peer } from "../state/peer.js";
import { shownSeconds } from "../state/rates.js";
import { color, onTheme } from "./theme.js";

interface SparklinesProps {
  /** The peers of the rows, from the top. */
  readonly peers: readonly Peer[];
  /** The index of the first row. */
  readonly first: number;
  readonly rowHeight: number;
  readonly nowMs: number;
}

const height = 18;
const colors = { bar: "", silent: "", line: "" };

/**
 * The rates of the visible peers for the last minute, all on one canvas that lies over their column. A bar is a second, and each
 * row has its own scale.
 */
export function Sparklines({ peers, first, rowHeight, nowMs }: SparklinesProps): VNode {
  const canvas = useRef<HTMLCanvasElement>(null);
  const draw = (): void => {
    const element = canvas.current;
    const column = element?.closest(".list")?.querySelector<HTMLElement>(".list-head .cell-rate");
    if (element === null || column === null || column === undefined) return;
    const width = column.clientWidth - 68;
    const scale = devicePixelRatio;
    const total = peers.length * rowHeight;
    element.style.left = `${column.offsetLeft + 8}px`;
    element.style.top = `${first * rowHeight}px`;
    // Setting a size clears a canvas.
    setSize(element, width, total, scale);
    const context = element.getContext("2d");
    if (context === null || width <= 0) return;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, total);
    const step = width / shownSeconds;
    const second = Math.floor(nowMs / 1000);
    peers.forEach((peer, index) => {
      const bottom = index * rowHeight + (rowHeight + height) / 2;
      const max = Math.max(1, peer.rates.max);
      context.fillStyle = colors.line;
      context.fillRect(0, bottom, width, 1);
      context.fillStyle = peer.row.silent ? colors.silent : colors.bar;
      for (let back = 0; back < shownSeconds; back++) {
        const value = peer.rates.at(second - back);
        if (value === 0) continue;
        const bar = Math.max(1, (value / max) * height);
        context.fillRect(width - (back + 1) * step, bottom - bar, Math.max(1, step - 0.5), bar);
      }
    });
  };
  useEffect(draw);
  useEffect(() => {
    const take = (): void => {
      colors.bar = color("--accent");
      colors.silent = color("--warn");
      colors.line = color("--line");
    };
    take();
    draw();
    return onTheme(take);
  }, []);
  return <canvas class="sparklines" ref={canvas} aria-hidden="true" />;
}

function setSize(canvas: HTMLCanvasElement, width: number, height: number, scale: number): void {
  const pixels = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))] as const;
  if (canvas.width === pixels[0] && canvas.height === pixels[1]) return;
  [canvas.width, canvas.height] = pixels;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
}
