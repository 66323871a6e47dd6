import type { LossReport } from "../protocol.js";

/** How many reports are kept for pages that connect later. */
const maxKept = 200;

/** A loss that is reported, without its number. */
export type NewLoss = Omit<LossReport, "type" | "id">;

/** The last reports of losses. Whoever reports keeps the limit of one report a second for each cause and source. */
export class LossLog {
  readonly #kept: LossReport[] = [];
  #count = 0;

  /** The number of reports so far, which is the number of the next one. */
  get count(): number {
    return this.#count;
  }

  add(loss: NewLoss): void {
    this.#kept.push({ type: "loss", id: this.#count++, ...loss });
    if (this.#kept.length > maxKept) this.#kept.shift();
  }

  /** The kept reports from a number on. */
  since(id: number): readonly LossReport[] {
    return this.#kept.filter((each) => each.id >= id);
  }

  clear(): void {
    this.#kept.length = 0;
  }
}
