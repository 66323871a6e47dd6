import { outOfRange } from "./errors.js";

/**
 * The names of all fields of `T`: TypeScript refuses a list that lacks one.
 *
 * @example fieldsOf<WaitOptions>({ signal: true, timeoutMs: true })
 */
export function fieldsOf<T>(fields: Readonly<Record<keyof T & string, true>>): readonly string[] {
  return Object.keys(fields);
}

/**
 * Refuses unknown fields, which are typing errors. A field whose value is `undefined` counts too.
 *
 * @param what begins the error, such as `"options: a field"`.
 * @param otherNames what a field that another call has is called here.
 * @throws `RangeError` `ERR_OUT_OF_RANGE` that names the field, the known ones, and the nearest of them.
 */
export function refuseUnknown(
  fields: object,
  known: readonly string[],
  what: string,
  otherNames?: ReadonlyMap<string, string>,
): void {
  // Each receive call checks its options here: `for in` makes no array.
  for (const field in fields) {
    if (known.includes(field) || !Object.hasOwn(fields, field)) continue;
    const near = otherNames?.get(field) ?? nearest(field, known);
    const hint = near === undefined ? "" : `: did you mean ${near}?`;
    throw outOfRange(what, `one of ${known.join(", ")}`, field, hint);
  }
}

/** The largest number of characters of a name that is compared: no field is longer. */
const maxLength = 40;

/** The known name that is nearest to a mistyped one, in any case; `undefined` if none is near. */
export function nearest(field: string, known: readonly string[]): string | undefined {
  if (field.length > maxLength) return undefined;
  const given = field.toLowerCase();
  let found: string | undefined;
  // Up to a third of the letters may be wrong, or two in a short name. Two swapped letters count as two.
  let minDistance = Math.max(2, Math.floor(field.length / 3)) + 1;
  for (const name of known) {
    const wrong = distance(given, name.toLowerCase());
    if (wrong >= minDistance || wrong >= name.length) continue;
    found = name;
    minDistance = wrong;
  }
  return found;
}

/** The edit distance of two words: letters to insert, remove or replace (Levenshtein). */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
