import { type CaptureInput, read } from "../read.js";
import type { ReplayDatagram, ReplayInput } from "./options.js";

/** The datagrams of an input, one after the other. */
export interface DatagramReading {
  next(): Promise<IteratorResult<ReplayDatagram, undefined>>;
  /** Ends the reading. */
  return(): Promise<unknown>;
}

/** Opens an input, each time from its start if it is a file. */
export function openInput<D extends ReplayDatagram>(file: ReplayInput<D>, mtu: number): DatagramReading {
  const isIterable = typeof file === "object" && Symbol.asyncIterator in file;
  return isIterable ? new IterableReading(file, mtu) : read(file, { mtu });
}

/** An input that is either a file in pieces, or datagrams. Its first item shows which. */
class IterableReading implements DatagramReading {
  readonly #items: AsyncIterator<Uint8Array | ReplayDatagram>;
  readonly #mtu: number;
  #reading: Pick<DatagramReading, "next"> | undefined;

  constructor(items: AsyncIterable<Uint8Array | ReplayDatagram>, mtu: number) {
    this.#items = items[Symbol.asyncIterator]();
    this.#mtu = mtu;
  }

  async next(): Promise<IteratorResult<ReplayDatagram, undefined>> {
    if (this.#reading) return await this.#reading.next();
    const first = await this.#items.next();
    const areDatagrams = !first.done && !(first.value instanceof Uint8Array);
    if (areDatagrams) {
      this.#reading = this.#items as AsyncIterator<ReplayDatagram>;
      return first as IteratorResult<ReplayDatagram, undefined>;
    }
    const pieces = this.#items as AsyncIterator<Uint8Array>;
    this.#reading = read(startingWith(first as IteratorResult<Uint8Array>, pieces), { mtu: this.#mtu });
    return await this.#reading.next();
  }

  async return(): Promise<unknown> {
    return await this.#items.return?.();
  }
}

/** The items of an iterator whose first item is taken already. */
function startingWith(
  first: IteratorResult<Uint8Array>,
  rest: AsyncIterator<Uint8Array>,
): CaptureInput & AsyncIterable<Uint8Array> {
  let isFirst = true;
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        if (!isFirst) return rest.next();
        isFirst = false;
        return Promise.resolve(first);
      },
    }),
  };
}
