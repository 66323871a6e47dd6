import { useEffect, useLayoutEffect, useReducer, useState } from "preact/hooks";

import type { State } from "../state/state.js";
import type { Topic } from "../state/topics.js";

/** Renders the component again in the next frame after one of the topics has changed. */
export function useTopics(state: State, ...topics: readonly Topic[]): void {
  const [, again] = useReducer((renders: number) => renders + 1, 0);
  // Before the browser does anything else: a change after this render must not be missed.
  useLayoutEffect(() => state.topics.listen(topics, () => again(undefined)), [state]);
}

/** Renders the component again every second, for ages. */
export function useSeconds(): void {
  const [, again] = useReducer((renders: number) => renders + 1, 0);
  useEffect(() => {
    const timer = setInterval(() => again(undefined), 1000);
    return () => clearInterval(timer);
  }, []);
}

/** Whether a media query holds. */
export function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const listener = (): void => setMatches(list.matches);
    list.addEventListener("change", listener);
    return () => list.removeEventListener("change", listener);
  }, [query]);
  return matches;
}

/** The width at which the page becomes one column. */
export const narrow = "(max-width: 719px)";
