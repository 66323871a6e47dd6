/** Why a run in virtual time could not go on. */
export type StuckCode =
  /** No event is left, and the program has not settled. */
  | "ERR_SIM_DEADLOCK"
  /** More than a million events happened at one instant. */
  | "ERR_SIM_LIVELOCK"
  /** The run took more virtual time than `limitMs`. */
  | "ERR_SIM_TIME_LIMIT"
  /** Work outside virtual time took more real time than `realLimitMs`. */
  | "ERR_SIM_REAL_WORK";

/** A run in virtual time that cannot end. The message says when and why, and who waits for what. */
export class StuckError extends Error {
  /** Why the run could not go on. */
  readonly code: StuckCode;
  /** Who waits for what, the complete list. */
  readonly waiting: readonly string[];

  /** @param why a sentence without a full stop. */
  constructor(code: StuckCode, why: string, waiting: readonly string[]) {
    super(`${why}, and the program still waits${list(waiting)}`);
    this.code = code;
    this.waiting = waiting;
  }

  static {
    this.prototype.name = "StuckError";
  }
}

/** The number of names in a message. */
const maxNamed = 20;

function list(waiting: readonly string[]): string {
  if (waiting.length === 0)
    return ", but on no socket of this network: for what is outside of it, real(promise) holds the clock";
  const more = waiting.length - maxNamed;
  return `: ${[...waiting.slice(0, maxNamed), ...(more > 0 ? [`and ${more} more`] : [])].join("; ")}`;
}
