import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

import { type Rates, shownSeconds } from "../state/rates.js";
import { count, timeOfDay } from "./format.js";
import { color, onTheme } from "./theme.js";
import "uplot/dist/uPlot.min.css";
import "./chart.css";

/** A line of the chart. */
export interface Line {
  readonly label: string;
  readonly rates: Rates;
}

interface ChartProps {
  readonly lines: readonly Line[];
  readonly nowMs: number;
  /** Seconds since 1970 at which something was lost. */
  readonly losses: readonly number[];
  readonly label: string;
}

const height = 132;

/** Datagrams a second in the last minute, with a mark at each loss. */
export function Chart({ lines, nowMs, losses, label }: ChartProps): VNode {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const marks = useRef<readonly number[]>([]);
  marks.current = losses;
  const names = lines.map((line) => line.label).join("\n");

  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const make = (): void => {
      chart.current?.destroy();
      chart.current = new uPlot(
        options(names.split("\n"), element.clientWidth, () => marks.current),
        [[]],
        element,
      );
    };
    make();
    const observer = new ResizeObserver(() => chart.current?.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    const end = onTheme(make);
    return () => {
      end();
      observer.disconnect();
      chart.current?.destroy();
      chart.current = undefined;
    };
  }, [names]);
  useEffect(() => {
    // The current second is not over.
    const last = Math.floor(nowMs / 1000) - 1;
    const seconds = Array.from({ length: shownSeconds }, (_, index) => last - shownSeconds + 1 + index);
    chart.current?.setData([seconds, ...lines.map(({ rates }) => seconds.map((second) => rates.at(second)))]);
  });
  return <div class="chart" ref={place} role="img" aria-label={label} />;
}

function options(names: readonly string[], width: number, losses: () => readonly number[]): uPlot.Options {
  const colors = [color("--accent"), color("--second"), color("--third")];
  const axis = {
    stroke: color("--muted"),
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width,
    height,
    padding: [8, 12, 0, 0],
    cursor: { show: false },
    legend: { show: false },
    scales: { x: { time: false }, y: { range: (_, __, max) => [0, Math.max(5, max * 1.1)] } },
    axes: [
      {
        ...axis,
        size: 22,
        space: 80,
        values: (_, seconds) =>
          seconds.map((second) => (Number.isInteger(second) ? timeOfDay(second * 1000) : "")),
      },
      { ...axis, size: 52, space: 28, values: (_, values) => values.map((value) => count(value)) },
    ],
    series: [
      {},
      ...names.map((name, index) => ({
        label: name,
        stroke: colors[index % colors.length] ?? "",
        fill: index === 0 ? color("--accent-soft") : "transparent",
        width: 1.5,
        dash: index === 1 ? [5, 3] : [],
        points: { show: false },
      })),
    ],
    hooks: { draw: [(chart) => drawLosses(chart, losses())] },
  };
}

/** A line from the top with a triangle: not a color alone. */
function drawLosses(chart: uPlot, losses: readonly number[]): void {
  const { ctx, bbox } = chart;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.fillStyle = color("--warn");
  for (const second of new Set(losses)) {
    const x = Math.round(chart.valToPos(second, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.fillRect(x, bbox.top, scale, bbox.height);
    ctx.beginPath();
    ctx.moveTo(x - 4 * scale, bbox.top);
    ctx.lineTo(x + 5 * scale, bbox.top);
    ctx.lineTo(x + scale / 2, bbox.top + 7 * scale);
    ctx.fill();
  }
  ctx.restore();
}
