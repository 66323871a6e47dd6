import { outOfRange, wrongType } from "../../core/errors/errors.js";
import { refuseUnknown } from "../../core/errors/fields.js";
import { maxDurationMs, nsPerMs } from "../time/event.js";
import type { LinkDirection, Rule } from "./direction.js";
import { type CheckedLink, checkLink } from "./check.js";
import type { LinkInput } from "./settings.js";

/** The times of a black hole. They repeat: `onMs` long everything is lost, `offMs` long nothing is. */
export interface BlackHole {
  /** Milliseconds during which all packets are lost: above 0 and up to 31 days, or Infinity. */
  readonly onMs: number;
  /** Milliseconds after that during which packets pass: 0 to 31 days. */
  readonly offMs: number;
  /** Milliseconds from now until the first loss: 0 to 31 days. @default 0 */
  readonly firstMs?: number | undefined;
}

/**
 * A link between two nodes. "Up" is the direction from the node that was named first, "down" the way back.
 *
 * The other files of this folder: `direction.ts` moves packets in one direction of a link. `impairment.ts` decides what
 * happens to each. `transit.ts` is one packet on its way. `settings.ts`, `profiles.ts` and `scenarios.ts` have the settings
 * that users give, and `check.ts` checks them.
 */
export class Link {
  /** Such as `"camera–desk"`. */
  readonly name: string;
  readonly #up: LinkDirection;
  readonly #down: LinkDirection;
  readonly #check: (settings: CheckedLink) => void;
  readonly #now: () => number;

  /** Made by `network.link()`. @internal */
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
   * Changes the settings for packets from now on. Packets in flight are not affected. Settings that are not named are off.
   *
   * @throws `TypeError`, `RangeError` naming the link and the field.
   */
  set(settings: LinkInput): void {
    const checked = checkLink(settings, `link ${this.name}`);
    this.#check(checked);
    this.#up.set(checked.up);
    this.#down.set(checked.down);
  }

  /** Stops all packets in both directions, until `mend()`. */
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
   * Loses all packets silently, in both directions: for ever, or at repeated times.
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
   * Drops the packets for which a rule returns `true`, such as the third datagram, or all ICMP. An error of the rule ends
   * the rule and the run.
   *
   * @param direction `"up"` is from the node that was named first. Without it, both.
   * @returns a function that ends the rule.
   * @throws `TypeError`, `RangeError` for an invalid rule or direction.
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
