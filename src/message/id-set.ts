/** V8 keeps so few places, 64 bytes, in the object of the array. */
const minPlaces = 8;
/** Places that are looked at. Ids that a stranger has chosen to fall on the same places cost no more than that. */
const maxProbes = 16;

/**
 * A set of messages by id and CRC. It takes 16 to 32 bytes for each of many, and makes no objects for them: a `Map` takes three times as
 * much, and a receiver remembers all messages of half a minute.
 */
export class IdSet {
  /** The number of messages. */
  size = 0;
  /** Id and CRC at each place, of which at most half are taken. An id of 0 and a CRC of 0 is an empty place. */
  #places = new Uint32Array(2 * minPlaces);
  /** Messages that found no place. An id of 0 with a CRC of 0 is here too. */
  #others: Set<string> | undefined;

  has(id: number, crc: number): boolean {
    const found = this.#find(id, crc);
    // A message that found no place stays among the others, also when there are more places.
    return (found >= 0 && !this.#isEmpty(found)) || this.#others?.has(`${id} ${crc}`) === true;
  }

  add(id: number, crc: number): void {
    if (this.has(id, crc)) return;
    if (4 * ++this.size > this.#places.length) this.#grow();
    this.#put(id, crc);
  }

  #put(id: number, crc: number): void {
    const found = this.#find(id, crc);
    if (found >= 0) {
      this.#places[found] = id;
      this.#places[found + 1] = crc;
      return;
    }
    (this.#others ??= new Set()).add(`${id} ${crc}`);
  }

  /** Where the message is or can be put; −1 if all places for it are taken by others. */
  #find(id: number, crc: number): number {
    if (id === 0 && crc === 0) return -1;
    const places = this.#places;
    const last = places.length / 2 - 1;
    for (let probe = 0, at = mixed(id, crc); probe < maxProbes; probe++, at++) {
      const place = 2 * (at & last);
      if ((places[place] === id && places[place + 1] === crc) || this.#isEmpty(place)) return place;
    }
    return -1;
  }

  #isEmpty(place: number): boolean {
    return this.#places[place] === 0 && this.#places[place + 1] === 0;
  }

  #grow(): void {
    const before = this.#places;
    this.#places = new Uint32Array(2 * before.length);
    for (let place = 0; place < before.length; place += 2) {
      const [id, crc] = [before[place] as number, before[place + 1] as number];
      if (id !== 0 || crc !== 0) this.#put(id, crc);
    }
  }
}

/** The end of MurmurHash3 (Appleby), so that ids in a row are spread. */
function mixed(id: number, crc: number): number {
  let hash = Math.imul(id, 0x9e37_79b1) ^ crc;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
