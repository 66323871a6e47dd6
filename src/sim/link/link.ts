import { outOfRange, wrongType } from "../../core/errors/errors.js";
import { refuseUnknown } from "../../core/errors/fields.js";
import { maxDurationMs, nsPerMs } from "../time/event.js";
import type { LinkDirection, Rule } from "./direction.js";
import { type CheckedLink, checkLink } from "./check.js";
import type { LinkInput } from "./settings.js";

/** When a link swallows everything, over and over. */
export interface BlackHole {
  /** Milliseconds that it swallows for: above 0 and up to 31 days, or Infinity. */
  readonly onMs: number;
  /** Milliseconds that it then passes for: 0 to 31 days. */
  readonly offMs: number;
  /** Milliseconds from now until it begins: 0 to 31 days. @default 0 */
  readonly firstMs?: number | undefined;
}

/** A link between two nodes: up from the one that was named first, down back to it. */
export class Link {
  /** Such as `"camera–desk"`. */
  readonly name: string;
  readonly #up: LinkDirection;
  readonly #down: LinkDirection;
  readonly #check: (settings: CheckedLink) => void;
  readonly #now: () => number;

  /** Made by `network.link()`. */
  constructor(
    name: string,
    up: LinkDirection,
    down: LinkDirection,
    check: (settings: CheckedLink) => void,
    now: () => number,
  ) {
    this.name = name;
    this.#up = up;
    this.#down = down;
    this.#check = check;
    this.#now = now;
  }

  /**
   * Changes what it does to packets from now on; those that travel are not touched. What is not named is off.
   *
   * @throws `TypeError`, `RangeError` naming the link and the field.
   */
  set(settings: LinkInput): void {
    const checked = checkLink(settings, `link ${this.name}`);
    this.#check(checked);
    this.#up.set(checked.up);
    this.#down.set(checked.down);
  }

  /** Lets nothing pass, either way, until `mend()`. */
  cut(): void {
    this.#changeBoth((each) => (each.isCut = true));
  }

  /** Ends `cut()` and `blackHole()`. */
  mend(): void {
    this.#changeBoth((each) => {
      each.isCut = false;
      each.setBlackHole(undefined);
    });
  }

  /**
   * Swallows everything without a word, either way: for ever, or for a while, over and over.
   *
   * @throws `TypeError`, `RangeError` naming the link and the field.
   */
  blackHole(hole: BlackHole = { onMs: Infinity, offMs: 0 }): void {
    const where = `link ${this.name}: blackHole`;
    if (typeof hole !== "object" || (hole as unknown) === null) throw wrongType(where, "an object", hole);
    refuseUnknown(hole, ["onMs", "offMs", "firstMs"], `${where}: a field`);
    const { onMs, offMs, firstMs = 0 } = hole;
    for (const [name, ms] of Object.entries({ onMs, offMs, firstMs })) {
      const endless = name === "onMs" && ms === Infinity;
      if (typeof ms !== "number") throw wrongType(`${where}: ${name}`, "milliseconds", ms);
      if (!endless && !(ms >= 0 && ms <= maxDurationMs))
        throw outOfRange(`${where}: ${name}`, `milliseconds from 0 to ${maxDurationMs}`, ms);
    }
    const [on, off] = [Math.round(onMs * nsPerMs), Math.round(offMs * nsPerMs)];
    if (on === 0) throw outOfRange(`${where}: onMs`, "more than 0", onMs);
    const first = this.#now() + Math.round(firstMs * nsPerMs);
    this.#changeBoth((each) => each.setBlackHole({ first, on, off }));
  }

  /**
   * Drops the packets that a rule says `true` of, such as the third datagram, or all ICMP. What a rule throws ends the run,
   * and the rule.
   *
   * @param direction `"up"` is from the node that was named first. Without it, both.
   * @returns the call that ends it.
   * @throws `TypeError`, `RangeError` for what is no rule and no direction.
   */
  drop(rule: Rule, direction?: "up" | "down"): () => void {
    const where = `link ${this.name}: drop`;
    if (typeof rule !== "function") throw wrongType(where, "a function", rule);
    if (direction !== undefined && !["up", "down"].includes(direction))
      throw outOfRange(`${where}: direction`, "up or down", direction);
    const directions = [
      direction === "down" ? [] : [this.#up],
      direction === "up" ? [] : [this.#down],
    ].flat();
    const own: Rule = (packet) => rule(packet);
    for (const { rules } of directions) rules.add(own);
    return () => {
      for (const { rules } of directions) rules.delete(own);
    };
  }

  #changeBoth(change: (direction: LinkDirection) => void): void {
    change(this.#up);
    change(this.#down);
  }
}
