/** Tells the parts of the page what has changed, at most once a frame. */

/** What can change. */
export type Topic =
  | "connection"
  | "hello"
  | "peers"
  | "losses"
  | "datagrams"
  | "details"
  | "sends"
  | "recording"
  | "playback"
  | "relay"
  | "pictures";

export class Topics {
  readonly #listeners = new Map<Topic, Set<() => void>>();
  readonly #changed = new Set<Topic>();
  #scheduled = false;

  /** Calls `listener` in the next frame after a topic has changed. Returns a function that ends this. */
  listen(topics: readonly Topic[], listener: () => void): () => void {
    for (const topic of topics) this.#listenersOf(topic).add(listener);
    return () => {
      for (const topic of topics) this.#listenersOf(topic).delete(listener);
    };
  }

  changed(topic: Topic): void {
    this.#changed.add(topic);
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => this.#tell());
  }

  #tell(): void {
    this.#scheduled = false;
    const listeners = new Set([...this.#changed].flatMap((topic) => [...this.#listenersOf(topic)]));
    this.#changed.clear();
    for (const listener of listeners) listener();
  }

  #listenersOf(topic: Topic): Set<() => void> {
    const known = this.#listeners.get(topic);
    if (known !== undefined) return known;
    const listeners = new Set<() => void>();
    this.#listeners.set(topic, listeners);
    return listeners;
  }
}
