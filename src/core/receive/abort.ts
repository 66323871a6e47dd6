/** For each signal the calls that it ends. A thousand calls that wait on one signal add one listener to it. */
const watched = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `abort` once when the signal fires.
 *
 * @returns a function that stops this.
 */
export function onAbort(signal: AbortSignal, abort: () => void): () => void {
  const waits = watched.get(signal) ?? watch(signal);
  waits.add(abort);
  return () => {
    waits.delete(abort);
  };
}

function watch(signal: AbortSignal): Set<() => void> {
  const waits = new Set<() => void>();
  watched.set(signal, waits);
  signal.addEventListener(
    "abort",
    () => {
      watched.delete(signal);
      for (const abort of waits) abort();
    },
    { once: true },
  );
  return waits;
}
