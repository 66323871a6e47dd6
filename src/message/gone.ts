import { OSError } from "../core/errors/errors.js";

/** The error of a message whose memory the program has resized, or transferred to another thread. */
export function goneError(): OSError {
  const text = "the message was resized or transferred away before all of it arrived";
  return new OSError("EFAULT", { text });
}
