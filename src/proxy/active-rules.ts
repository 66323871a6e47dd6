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
  maxRules,
} from "./rules.js";

/** What the rules do to a datagram. The caller reuses one object for all datagrams. */
export interface RuleVerdict {
  drop: boolean;
  corrupt: boolean;
  /** Whole nanoseconds. */
  delayNs: number;
  /** The texts of the rules that drop, corrupt and delay it: each has a meaning only if such a rule applies. */
  droppedBy: string;
  corruptedBy: string;
  delayedBy: string;
}

/** A new object for `ActiveRules.decide`: no rule applies. */
export function emptyRuleVerdict(): RuleVerdict {
  return { drop: false, corrupt: false, delayNs: 0, droppedBy: "", corruptedBy: "", delayedBy: "" };
}

/**
 * The rules of a relay, in the order in which they were added. A rule sees the datagrams that the rules before it have not
 * dropped.
 */
export class ActiveRules {
  #rules: ActiveRule[] = [];

  /** Whether there are no rules. */
  get empty(): boolean {
    return this.#rules.length === 0;
  }

  /**
   * @param where the start of each error message.
   * @throws `TypeError`, `RangeError` that name the field; `RangeError` if there are too many.
   */
  add(rule: ProxyRule, where: string): RelayRule {
    const checked = checkRule(rule, where);
    if (this.#rules.length === maxRules)
      throw outOfRange(where, `one of at most ${maxRules} at one time`, maxRules + 1);
    const active = new ActiveRule(checked, () => {
      this.#rules = this.#rules.filter((each) => each !== active);
    });
    this.#rules.push(active);
    return active;
  }

  /** Writes what happens to a datagram into `verdict`. */
  decide(direction: "up" | "down", data: Buffer, client: Endpoint, verdict: RuleVerdict): void {
    verdict.drop = false;
    verdict.corrupt = false;
    verdict.delayNs = 0;
    for (const active of this.#rules) {
      if (!active.applies(direction, data, client)) continue;
      const { action, delayMs } = active.rule;
      if (action === "drop") {
        verdict.drop = true;
        verdict.droppedBy = active.text;
        return;
      }
      if (action === "corrupt") {
        verdict.corrupt = true;
        verdict.corruptedBy = active.text;
      } else {
        verdict.delayedBy = verdict.delayNs > 0 ? `${verdict.delayedBy}, ${active.text}` : active.text;
        verdict.delayNs += Math.round(delayMs * nsPerMs);
      }
    }
  }

  /** The counts of each rule that has not been removed. */
  stats(): readonly RuleStats[] {
    return Object.freeze(this.#rules.map((active) => active.stats()));
  }
}

/** A rule in use, with its counts. */
class ActiveRule implements RelayRule {
  readonly rule: CheckedRule;
  /** In the form of the command line, such as `drop up numbers=1-2`. */
  readonly text: string;
  readonly #remove: () => void;
  readonly #up = { seen: 0, applied: 0 };
  readonly #down = { seen: 0, applied: 0 };
  #error: string | undefined;

  constructor(rule: CheckedRule, remove: () => void) {
    this.rule = rule;
    this.text = formatRule(rule);
    this.#remove = remove;
  }

  /** Whether the rule applies to this datagram. Counts it if so. */
  applies(direction: "up" | "down", data: Buffer, client: Endpoint): boolean {
    const { rule } = this;
    if (this.#error !== undefined || (rule.direction !== undefined && rule.direction !== direction))
      return false;
    if (!isClient(rule, client) || !hasBytes(rule, data) || !this.#passesWhen(direction, data, client))
      return false;
    const counts = direction === "up" ? this.#up : this.#down;
    if (!hasNumber(rule, ++counts.seen)) return false;
    counts.applied++;
    return true;
  }

  stats(): RuleStats {
    const [up, down] = [this.#up.applied, this.#down.applied];
    return Object.freeze({ rule: this.text, up, down, error: this.#error });
  }

  remove(): void {
    this.#remove();
  }

  #passesWhen(direction: "up" | "down", data: Buffer, client: Endpoint): boolean {
    const { when } = this.rule;
    if (!when) return true;
    try {
      return when({ data, direction, client });
    } catch (error) {
      this.#error = error instanceof Error ? error.message : "something that is not an Error";
      return false;
    }
  }
}
