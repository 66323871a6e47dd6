import type { Datagram } from "./datagram.js";
import { OSError } from "./errors.js";

/** A receive call of a `strict` socket whose datagram was longer than it asked for: an `OSError` `EMSGSIZE`. */
export class TruncatedError extends OSError {
  /** The datagram as it was cut. It is consumed: the next call gives the next one. */
  readonly datagram: Datagram;

  constructor(datagram: Datagram, syscall: string) {
    const { data, size, source } = datagram;
    super("EMSGSIZE", {
      syscall,
      address: source.host,
      port: source.port,
      limit: data.length,
      text: `a datagram of ${size} bytes was cut to ${data.length}`,
    });
    this.datagram = datagram;
  }

  static {
    this.prototype.name = "TruncatedError";
  }
}
