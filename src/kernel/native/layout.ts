/**
 * The layout of the memory that TypeScript shares with native/. native/layout.cc has the same names, with the numbers of the
 * compiler. An addon that has another number is not used. The offsets and sizes of records are in words of 4 bytes.
 */
export const layout = {
  /** Sizes of the shared arrays: native/receive_batch.h, native/send_batch.h and native/error_queue.h. */
  arrays: {
    /** Messages of a receive. */
    received: 32,
    /** Bytes of the slot that a message is received into. */
    slotBytes: 65_536,
    /** Pieces of memory that large messages are received into. */
    pieces: 16,
    /** Pieces of each message. */
    piecesEach: 2,
    /** Bytes of a piece. */
    pieceBytes: 32_768,
    /** Bytes of the memory that single datagrams share, at least. A datagram of more than half of it has memory of its own. */
    chunkBytes: 8192,
    /** Datagrams of a send. */
    datagrams: 1024,
    /** Slots for the names that datagrams are sent to. */
    names: 8192,
    /** ICMP errors that wait until they are read. */
    icmpErrors: 256,
  },
  /** A socket name, `sockaddr_in` or `sockaddr_in6`, in bytes. */
  name: {
    /** From one name to the next. */
    bytes: 28,
    ipv4Bytes: 16,
    family: 0,
    port: 2,
    ipv4Address: 4,
    ipv6Address: 8,
    scope: 24,
  },
  /** The metadata of a received message: `MessageMetadata`. */
  metadata: {
    words: 12,
    interface: 0,
    ttl: 1,
    tos: 2,
    family: 3,
    destination: 4,
    source: 8,
    drops: 9,
    seconds: 10,
    nanoseconds: 11,
  },
  /** How datagrams leave: `Control`. */
  control: { words: 8, fields: 0, interface: 1, ttl: 2, tos: 3, source: 4 },
  /** The bits of `Control.fields`. */
  controlFields: { source: 1, ttl: 2, tos: 4 },
  /** The numbers before the ICMP errors: `ErrorQueueHead`. */
  errorQueueHead: { words: 3, count: 0, refusedMtu: 1, peerError: 2 },
  /** An ICMP error: `IcmpError`. */
  icmpError: { words: 4, error: 0, version: 1, type: 2, code: 3 },
  /** The bits of the events that a handle polls for and reports. */
  events: {
    readable: 1,
    writable: 2,
    /** An error waits to be read by `errors`. Reported whether a caller polls for it or not. */
    failing: 4,
  },
  /** The bits of the result of `receive`: the count, and above it a 1 if more may be there. */
  receiveResult: { countBits: 16 },
  /** The bits of the result of `send`, from the lowest: the number sent or the errno, the refusal, the number rejected. */
  sendResult: { sentBits: 12, refusedBits: 8 },
} as const;

/** A layout, as an addon exports it. */
export type Layout = Readonly<Record<string, Readonly<Record<string, number>>>>;

/**
 * Describes the first number that differs between an addon's layout and this one; `undefined` if none does.
 *
 * @param exported the addon's layout; `undefined` if it exports none.
 */
export function layoutDifference(exported: Layout | undefined): string | undefined {
  const [theirs, ours] = [flat(exported ?? {}), flat(layout)];
  for (const name of new Set([...ours.keys(), ...theirs.keys()])) {
    const [there, here] = [theirs.get(name) ?? "missing", ours.get(name) ?? "missing"];
    if (there !== here) return `${name} is ${there} in the addon, ${here} in this package`;
  }
  return undefined;
}

function flat(groups: Layout): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const [group, members] of Object.entries(groups))
    for (const [name, value] of Object.entries(members)) numbers.set(`${group}.${name}`, value);
  return numbers;
}
