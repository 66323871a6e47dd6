/** A datagram that the receiver of the demonstration received or sent. */
export interface SeenDatagram {
  readonly direction: "in" | "out";
  readonly data: Uint8Array;
  readonly source: string;
  readonly destination: string;
  readonly lostBefore: number;
  /** Milliseconds since 1970 by the real clock. */
  readonly atMs: number;
}

/** What the thread of the demonstration tells. */
export interface FromDemo {
  readonly seen: readonly SeenDatagram[];
  readonly droppedKernel: number;
  readonly unreachable: readonly {
    readonly destination: string | undefined;
    readonly code: string;
    readonly kind: string | undefined;
    readonly from: string | undefined;
  }[];
}

/** A datagram for the thread to send. */
export interface ToDemo {
  readonly id: number;
  readonly data: Uint8Array;
  readonly to: string;
}

/** The end of a `ToDemo`. */
export interface Sent {
  readonly sent: { readonly id: number; readonly bytes: number; readonly error: string | undefined };
}
