/** Runs steps one after the other, in the order of the calls: the steps of an iteration that several callers take at once. */
export class Steps {
  /** The last step that is not over. */
  #last: Promise<unknown> | undefined;

  /** Whether a step is under way. */
  get isBusy(): boolean {
    return this.#last !== undefined;
  }

  /** Runs a step after the steps before it. */
  run<T>(step: () => Promise<T>): Promise<T> {
    const before = this.#last;
    const result = before ? before.then(step, step) : step();
    this.#last = result;
    const settled = (): void => {
      if (this.#last === result) this.#last = undefined;
    };
    result.then(settled, settled);
    return result;
  }
}
