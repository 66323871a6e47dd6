import type { Buffer } from "node:buffer";

import { outOfRange } from "../core/errors/errors.js";
import type { Endpoint } from "../index.js";
import { nsPerMs } from "../sim/time/event.js";
import {
  type CheckedRule,
  type ProxyRule,
  type RelayRule,
  type RuleStats,
  checkRule,
  formatRule,
  hasBytes,
  hasNumber,
  isClient,
  mostRules,
} from "./rules.js";

/** What rules do to a datagram. The caller owns it and hands it in again and again. */
export interface RuleVerdict {
  drop: boolean;
  corrupt: boolean;
  /** Whole nanoseconds. */
  delayNs: number;
}

/** The rules of a relay, in the order in which they were added: each sees what those before it have not dropped. */
export class Rulebook {
  #rules: ActiveRule[] = [];

  /** Whether there is any, so that nobody is asked where there is none. */
  get empty(): boolean {
    return this.#rules.length === 0;
  }

  /**
   * @param where begins each error.
   * @throws `TypeError`, `RangeError` that name the field; `RangeError` where there are too many.
   */
  add(rule: ProxyRule, where: string): RelayRule {
    const checked = checkRule(rule, where);
    if (this.#rules.length === mostRules)
      throw outOfRange(where, `one of at most ${mostRules} at one time`, mostRules + 1);
    const active = new ActiveRule(checked, () => {
      this.#rules = this.#rules.filter((each) => each !== active);
    });
    this.#rules.push(active);
    return active;
  }

  /** What happens to a datagram. */
  decide(direction: "up" | "down", data: Buffer, client: Endpoint, verdict: RuleVerdict): void {
    verdict.drop = false;
    verdict.corrupt = false;
    verdict.delayNs = 0;
    for (const active of this.#rules) {
      if (!active.applies(direction, data, client)) continue;
      const { action, delayMs } = active.rule;
      if (action === "drop") {
        verdict.drop = true;
        return;
      }
      if (action === "corrupt") verdict.corrupt = true;
      else verdict.delayNs += Math.round(delayMs * nsPerMs);
    }
  }

  /** What each has done that has not been removed. */
  stats(): readonly RuleStats[] {
    return Object.freeze(this.#rules.map((active) => active.stats()));
  }
}

/** A rule at work, with what it has counted. */
class ActiveRule implements RelayRule {
  readonly rule: CheckedRule;
  readonly #text: string;
  readonly #remove: () => void;
  readonly #up = { seen: 0, applied: 0 };
  readonly #down = { seen: 0, applied: 0 };
  #error: string | undefined;

  constructor(rule: CheckedRule, remove: () => void) {
    this.rule = rule;
    this.#text = formatRule(rule);
    this.#remove = remove;
  }

  /** Whether it is for this datagram, which it then counts. */
  applies(direction: "up" | "down", data: Buffer, client: Endpoint): boolean {
    const { rule } = this;
    if (this.#error !== undefined || (rule.direction !== undefined && rule.direction !== direction))
      return false;
    if (!isClient(rule, client) || !hasBytes(rule, data) || !this.#asked(direction, data, client))
      return false;
    const counts = direction === "up" ? this.#up : this.#down;
    if (!hasNumber(rule, ++counts.seen)) return false;
    counts.applied++;
    return true;
  }

  stats(): RuleStats {
    const [up, down] = [this.#up.applied, this.#down.applied];
    return Object.freeze({ rule: this.#text, up, down, error: this.#error });
  }

  remove(): void {
    this.#remove();
  }

  #asked(direction: "up" | "down", data: Buffer, client: Endpoint): boolean {
    const { when } = this.rule;
    if (!when) return true;
    try {
      return when({ data, direction, client });
    } catch (error) {
      this.#error = error instanceof Error ? error.message : "something that is no Error";
      return false;
    }
  }
}
