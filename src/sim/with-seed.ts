/** The error, with the line that repeats the run at the end of its message. */
export function withSeed(error: unknown, seed: number, nowMs: number): unknown {
  if (!(error instanceof Error)) return error;
  const line = `(at ${nowMs} ms of virtual time; seed ${seed}: new Network({ seed: ${seed} }) repeats this run)`;
  if (error.message.includes(line)) return error;
  const { message, stack } = error;
  const text = `${message}\n${line}`;
  // Not by assignment: a `DOMException`, as of aborted signals, has only getters.
  const set = (name: "message" | "stack", value: string): boolean =>
    Reflect.defineProperty(error, name, { value, configurable: true, writable: true });
  if (set("message", text) && stack?.includes(message) === true) {
    set(
      "stack",
      stack.replace(message, () => text),
    );
  }
  return error;
}
