/** Progress on standard error, figures, and Markdown tables. */

/** The shortest time between two lines of progress, in milliseconds. */
const progressMs = 5000;
/** The time of the machine, also while a simulated network runs. */
const realNow = performance.now.bind(performance);
let progressAt = realNow();
/** The case that is told about, and when it was told about first. */
let current: { readonly what: string; readonly from: number; readonly done: number } | undefined;

/** Says how far a long case is and how long it will take, every few seconds. */
export function progress(what: string, done: number, of: number): void {
  const now = realNow();
  if (current?.what !== what) current = { what, from: now, done };
  if (now - progressAt < progressMs) return;
  progressAt = now;
  const leftMs = ((now - current.from) / (done - current.done)) * (of - done);
  const left = Number.isFinite(leftMs) ? `, about ${duration(leftMs)} left` : "";
  process.stderr.write(`${what}: ${done} of ${of}${left}\n`);
}

function duration(ms: number): string {
  const minutes = ms / 60_000;
  return minutes < 2 ? `${(ms / 1000).toFixed(0)} s` : `${minutes.toFixed(0)} min`;
}

/** The results of a run with each seed. */
export async function over<T>(
  what: string,
  seeds: readonly number[],
  run: (seed: number) => Promise<T>,
): Promise<T[]> {
  const found: T[] = [];
  for (const seed of seeds) {
    found.push(
      await run(seed).catch((error: unknown) => {
        throw new Error(`${what}, seed ${seed}: ${String(error)}`, { cause: error });
      }),
    );
    progress(what, found.length, seeds.length);
  }
  return found;
}

export function mean(of: readonly number[]): number {
  return of.reduce((sum, value) => sum + value, 0) / of.length;
}

/** The growth from one value to the next, by least squares. */
export function slope(of: readonly number[]): number {
  const [middle, average] = [(of.length - 1) / 2, mean(of)];
  const [products, squares] = [
    of.reduce((sum, value, at) => sum + (at - middle) * (value - average), 0),
    of.reduce((sum, _, at) => sum + (at - middle) ** 2, 0),
  ];
  return products / squares;
}

export function quantile(of: readonly number[], share: number): number {
  const sorted = [...of].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
}

export function whole(value: number): string {
  return value.toFixed(0);
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}

export function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

export function table(title: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  return [`${title}:\n`, ...lines].join("\n");
}
