import { CaptureError } from "../capture/index.js";
import { OSError } from "../index.js";
import { Failure, exitCodes } from "./exit.js";
import { quote } from "./option-values.js";
import { asSystemFailure } from "./system-errors.js";

/** An error of a capture file as one line that names the file. Errors of sockets are returned unchanged. */
export function captureFailure(error: unknown, file: string): unknown {
  const name = file === "-" ? "standard input" : quote(file);
  if (error instanceof CaptureError)
    return new Failure(exitCodes.error, `${name}: ${error.message.replace(/^read: /, "")}`);
  return error instanceof OSError ? error : asSystemFailure(error, `read ${name}`);
}
