import { OSError } from "../core/errors/errors.js";

/** What a `CaptureError` says. */
export interface CaptureErrorDetails {
  /** The byte of the file at which the unreadable part starts. */
  readonly offset: number;
  /** What is wrong there. */
  readonly text: string;
}

/** A capture file that cannot be read further: an `OSError` with the code `ENODATA`, `EBADMSG` or `EPROTONOSUPPORT`. */
export class CaptureError extends OSError {
  /** The byte of the file at which the unreadable part starts. */
  readonly offset: number;

  constructor(code: "ENODATA" | "EBADMSG" | "EPROTONOSUPPORT", { offset, text }: CaptureErrorDetails) {
    super(code, { syscall: "read", text: `${text}, at byte ${offset}` });
    this.offset = offset;
  }

  static {
    this.prototype.name = "CaptureError";
  }
}
