import { type Colour, mosaic } from "./mosaic-jpeg.js";

/** The digits and the colon, in 3 columns and 5 rows: the highest bit of a row is its left column. */
const glyphs: Readonly<Record<string, readonly number[]>> = {
  "0": [7, 5, 5, 5, 7],
  "1": [2, 6, 2, 2, 7],
  "2": [7, 1, 7, 4, 7],
  "3": [7, 1, 7, 1, 7],
  "4": [5, 5, 7, 1, 1],
  "5": [7, 4, 7, 1, 7],
  "6": [7, 4, 7, 5, 7],
  "7": [7, 1, 1, 1, 1],
  "8": [7, 5, 7, 5, 7],
  "9": [7, 5, 7, 1, 7],
  ":": [0, 2, 0, 2, 0],
};

/** What a camera sees at a time, in seconds. */
export type Scene = (seconds: number) => (column: number, row: number) => Colour;

/** A ball that jumps over a field, below the time. */
export const ballScene: Scene = (seconds) => {
  const x = (mosaic.columns - 4) * (0.5 + 0.5 * Math.sin(seconds * 0.9)) + 2;
  const y = mosaic.rows - 5 - 11 * Math.abs(Math.sin(seconds * 2.2));
  const time = timeText(seconds);
  return (column, row) => {
    if (isLit(time, column - 6, row - 1)) return [235, 128, 128];
    if ((column - x) ** 2 + (row - y) ** 2 < 7) return [150, 60, 200];
    return row > mosaic.rows - 4 ? [90, 90, 90] : [60 + row * 5, 150 - row, 110];
  };
};

/** Waves of colours that move. */
export const wavesScene: Scene = (seconds) => (column, row) => {
  const wave = Math.sin(column * 0.35 + seconds * 1.7) + Math.sin(row * 0.4 - seconds * 1.1);
  return [
    Math.round(120 + 45 * wave),
    Math.round(128 + 60 * Math.sin(seconds * 0.5 + column * 0.1)),
    Math.round(128 + 60 * Math.cos(seconds * 0.4 + row * 0.12)),
  ];
};

/** A light that turns, as that of a lighthouse. */
export const lightScene: Scene = (seconds) => {
  const [x, y] = [mosaic.columns / 2, mosaic.rows / 2];
  return (column, row) => {
    const angle = Math.atan2(row - y, column - x) - seconds * 1.3;
    const beam = Math.max(0, Math.cos(angle)) ** 6;
    const isTower = Math.abs(column - x) < 2 && row > y;
    return isTower ? [190, 110, 170] : [Math.round(30 + 190 * beam), 140, 118];
  };
};

function timeText(seconds: number): string {
  const whole = Math.floor(seconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${two(Math.floor(whole / 60) % 100)}:${two(whole % 60)}`;
}

function isLit(text: string, column: number, row: number): boolean {
  if (row < 0 || row >= 5 || column < 0) return false;
  const glyph = glyphs[text[Math.floor(column / 4)] ?? ""];
  return glyph !== undefined && (((glyph[row] as number) >> (2 - (column % 4))) & 1) === 1 && column % 4 < 3;
}
