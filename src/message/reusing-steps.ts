import type { MessageInbox } from "./inbox.js";
import type { Message } from "./message.js";
import { isWithProgram } from "./shown.js";
import type { SpareMemory } from "./spare-memory.js";

/**
 * Returns the `next` of one iteration with `reuseMemory`: a call gives back the memory of the message before.
 *
 * It does so only as long as the program takes one step after the other, and reads the message of each step before it calls
 * `next` again. Otherwise a message could change that the program has not read yet. So the first call that comes earlier ends
 * the reuse by this iteration.
 */
export function stepsThatReuse(inbox: MessageInbox, spare: SpareMemory): MessageInbox["next"] {
  let last: Message | undefined;
  /** Whether there is a step whose message the program has not read. */
  let isUnread = false;
  let isAhead = false;
  return async () => {
    isAhead ||= isUnread;
    if (last && !isAhead && !isWithProgram(last)) spare.give(last.data);
    last = undefined;
    isUnread = true;
    const step = await inbox.next();
    if (step.done === true) return step;
    const { value } = step;
    return {
      done: false,
      // A promise does not tell who waits for it, and a step may be read long after it resolved.
      get value() {
        if (isUnread) {
          isUnread = false;
          last = value;
        }
        return value;
      },
    };
  };
}
