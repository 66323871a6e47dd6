/** Does something before a signal ends the process. What the signal does stays the same. */

/**
 * Calls `act` if a signal is about to end the process, and then ends it. A program that listens to the signal decides itself
 * when it ends: then `act` is not called.
 */
export function beforeSignalEnds(signal: NodeJS.Signals, act: () => void): void {
  const listener = (): void => {
    if (process.listenerCount(signal) > 1) return;
    act();
    process.off("removeListener", comeBack);
    process.off(signal, listener);
    process.kill(process.pid, signal);
  };
  // Many programs end at a signal only if they have the only listener (the package signal-exit), so this one goes. But not at
  // once: Node stops to watch a signal when its last listener goes.
  const stepAside = (name: string | symbol, added: unknown): void => {
    if (name !== signal || added === listener) return;
    process.nextTick(() => {
      if (process.listenerCount(signal) > 1) process.off(signal, listener);
    });
  };
  const comeBack = (name: string | symbol): void => {
    if (name === signal && process.listenerCount(signal) === 0) process.on(signal, listener);
  };
  process.on("newListener", stepAside);
  process.on("removeListener", comeBack);
  process.on(signal, listener);
}
